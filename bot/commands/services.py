"""What commands work with; built once in ``bot.app``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from bot.config import Settings
from bot.engine.desk import Desk
from bot.engine.ports import LLM, Search, Store
from bot.llm.prices import Prices
from bot.store.session import Database
from knowledge.ingest import Ingestor


@dataclass(frozen=True, slots=True)
class Services:
    """Everything a command may reach."""

    settings: Settings
    database: Database
    desk: Desk
    store: Store
    search: Search
    ingestor: Ingestor
    llm: LLM
    prices: Prices
    clock: Callable[[], datetime]
