"""Ingestion of sources, in the background worker or in this process: start, follow, stop and refresh."""

from __future__ import annotations

from bot.ingestion.background_runs import Ingestion, RequestedRun
from bot.ingestion.daily_limit import DailyLimit, OverDailyLimit
from bot.ingestion.runner import IngestRunner, SourceBusy, ingest_in_process, lock_name

__all__ = [
    "DailyLimit",
    "IngestRunner",
    "Ingestion",
    "OverDailyLimit",
    "RequestedRun",
    "SourceBusy",
    "ingest_in_process",
    "lock_name",
]
