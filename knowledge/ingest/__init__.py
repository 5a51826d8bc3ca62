"""Ingests sources: parses, chunks, embeds and stores their documents. Skips unchanged documents."""

from __future__ import annotations

from knowledge.ingest.ingestor import Ingestor

__all__ = ["Ingestor"]
