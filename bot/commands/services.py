"""What commands work with; built once in ``bot.app``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from bot.config import Settings
from bot.engine.desk import Desk
from bot.engine.paces import Paces
from bot.engine.ports import LLM, Search, Store
from bot.intake import Intake
from bot.llm.prices import Prices
from bot.store.queue import Queue
from bot.store.session import Database
from bot.types import LOCAL_TENANT
from knowledge.ingest import Ingestor
from knowledge.models import Models
from knowledge.ports import Source
from knowledge.sources import OpenChannel, open_source


@dataclass(frozen=True, slots=True)
class Services:
    """Everything a command or a task of the queue may reach."""

    settings: Settings
    database: Database
    desk: Desk
    store: Store
    search: Search
    ingestor: Ingestor
    models: Models
    queue: Queue
    intake: Intake
    llm: LLM
    prices: Prices
    clock: Callable[[], datetime]
    paces: Paces
    open_channel: Callable[[str], OpenChannel] | None = None
    """Opens channels with the token of a tenant."""

    @property
    def most_bytes(self) -> int:
        """The size of a document at most."""
        return self.settings.max_file_mb * 1_000_000

    def open_source(self, spec: str, *, files: bool, channels: bool = True, tenant_id: str = LOCAL_TENANT) -> Source:
        """The source of that name; ``files`` allows paths of this machine, ``channels`` the history of chat channels,
        which is read with the tenant's own token.

        Raises SourceError.
        """
        return open_source(
            spec,
            fetch_allow=self.settings.fetch_allow,
            max_bytes=self.most_bytes,
            files=files,
            channel=self.open_channel(tenant_id) if channels and self.open_channel else None,
        )
