"""The services that commands and background tasks use; ``bot.app`` builds them once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from bot.config import Settings
from bot.engine.dispatch.dispatcher import Dispatcher
from bot.engine.display.workspace_pacing import WorkspacePacing
from bot.engine.ports.llm import LLM
from bot.engine.ports.search import Search
from bot.engine.ports.stores import Stores
from bot.engine.ports.telemetry import NoTelemetry, Telemetry
from bot.health import Health
from bot.ingestion import DailyLimit, Ingestion
from bot.llm.prices import Prices
from bot.store.budgets.daily_additions import AddedLimits
from bot.store.database.job_queue import Queue
from bot.store.database.session import Database
from bot.types.conversation import LOCAL_TENANT
from knowledge.errors import SourceError
from knowledge.ingest import Ingestor
from knowledge.ports import Source
from knowledge.sources.page_rendering import PageRenderer, find_chromium
from knowledge.sources.source_factory import OpenChannel, open_source
from knowledge.store.embedding_models import Models
from knowledge.text.secret_redaction import has_credentials

CREDENTIALS_IN_ADDRESS = (
    "An address with a name, password or token in it cannot be added, because addresses are stored and shown as "
    "sources. Leave them out of the address."
)


def daily_limit(settings: Settings, clock: Callable[[], datetime]) -> DailyLimit:
    """Return the configured limit of what one person may add in a day."""
    limits = AddedLimits(settings.daily_upload_mb * 1_000_000, settings.daily_documents)
    return DailyLimit(limits, settings.timezone, clock)


@dataclass(frozen=True, slots=True)
class Services:
    """Services that a command or a background task can use."""

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
    health: Health
    telemetry: Telemetry = field(default_factory=NoTelemetry)
    metrics: Callable[[], bytes] = bytes
    """Returns the metrics of this process in the text format of Prometheus."""
    open_channel: Callable[[str], OpenChannel] | None = None
    """Returns, for a tenant's id, what opens channels with that tenant's token."""

    @property
    def daily_limit(self) -> DailyLimit:
        """Return the limit of what one person may add in a day."""
        return daily_limit(self.settings, self.clock)

    @property
    def max_file_bytes(self) -> int:
        """Return the maximum size of a document in bytes."""
        return self.settings.max_file_mb * 1_000_000

    def _renderer(self) -> PageRenderer | None:
        """Return what draws pages that need JavaScript, if PARLEY_RENDER is set and Chromium is still installed."""
        program = find_chromium() if self.settings.render == "chromium" else None
        allow = self.settings.fetch_allow
        return PageRenderer(program, fetch_allow=allow, max_bytes=self.max_file_bytes) if program else None

    def open_source(self, spec: str, *, files: bool, channels: bool = True, tenant_id: str = LOCAL_TENANT) -> Source:
        """Return the source that ``spec`` names.

        ``files`` allows paths on this machine. ``channels`` allows the history of chat channels, which is read with the
        tenant's own token. Raises SourceError.
        """
        if has_credentials(spec):
            raise SourceError(CREDENTIALS_IN_ADDRESS)
        return open_source(
            spec,
            fetch_allow=self.settings.fetch_allow,
            max_bytes=self.max_file_bytes,
            files=files,
            channel=self.open_channel(tenant_id) if channels and self.open_channel else None,
            renderer=self._renderer(),
        )
