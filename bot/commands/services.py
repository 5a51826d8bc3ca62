"""What commands work with; built once in ``bot.app``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from bot.config import Settings
from bot.engine.dispatch.dispatcher import Dispatcher
from bot.engine.display.workspace_pacing import WorkspacePacing
from bot.engine.ports.llm import LLM
from bot.engine.ports.search import Search
from bot.engine.ports.stores import Stores
from bot.ingestion import Ingestion
from bot.llm.prices import Prices
from bot.store.job_queue import Queue
from bot.store.session import Database
from bot.types.conversation import LOCAL_TENANT
from knowledge.embedding_models import Models
from knowledge.ingest import Ingestor
from knowledge.ports import Source
from knowledge.sources import OpenChannel, open_source


@dataclass(frozen=True, slots=True)
class Services:
    """Everything a command or a task of the queue may reach."""

    settings: Settings
    database: Database
    dispatcher: Dispatcher
    stores: Stores
    search: Search
    ingestor: Ingestor
    models: Models
    queue: Queue
    ingestion: Ingestion
    llm: LLM
    prices: Prices
    clock: Callable[[], datetime]
    workspace_pacing: WorkspacePacing
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
