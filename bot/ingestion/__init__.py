"""Taking sources in, whoever asks and whichever process works: asked for, followed, stopped, kept up to date."""

from __future__ import annotations

from bot.ingestion.requests import Begun, Ingestion
from bot.ingestion.runner import Busy, Worker, here, lock_name

__all__ = ["Begun", "Busy", "Ingestion", "Worker", "here", "lock_name"]
