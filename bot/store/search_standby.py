"""Searches a hot standby of the database, or the primary while the standby misses changes.

A search asks the primary for the tenant's knowledge version first. Each of its transactions on the standby then checks
that it sees this version or a later one. So a search misses no change from before the question, however far the standby
is behind.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import replace

import psycopg
from pydantic import SecretStr
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from bot.errors import StoreAway, for_operator
from bot.store.database.pipelined_transactions import Statement, send
from bot.store.database.retry import is_conflict
from bot.store.database.session import Database
from knowledge.search.retriever import Retriever
from knowledge.types import Found, Scope, StandbyUse

log = logging.getLogger(__name__)

POOL_SECONDS = 1.0
"""Seconds that a search waits for a free connection to the standby before it reads the primary."""
ROUND_TRIP_SECONDS = 5.0
"""Seconds that one round trip to the standby may take before the search reads the primary."""
AWAY_SECONDS = 15.0
"""Seconds without another attempt after the standby did not answer."""

# A snapshot for the whole transaction, because a connection may lead to another standby than the one before.
_ONE_SNAPSHOT = Statement("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
_STATE = """
    SELECT pg_is_in_recovery() AS is_standby,
           coalesce((SELECT version FROM knowledge_state WHERE tenant_id = %(tenant)s), 0) AS version
"""


class StandbyUnfit(Exception):
    """The standby cannot serve a search. ``use`` says why."""

    def __init__(self, use: StandbyUse) -> None:
        super().__init__(f"the standby is not used: {use}")
        self.use = use


class SearchSessions:
    """Opens the transactions of a retriever: on the primary, or on the standby inside ``on_standby``.

    Implements ``Sessions``. One retriever serves both databases, so that it caches the vectors of questions once.
    """

    def __init__(self, primary: Database, standby: Database) -> None:
        self._primary = primary
        self._standby = standby
        self._version: ContextVar[int | None] = ContextVar("knowledge version that the standby must have", default=None)

    @contextmanager
    def on_standby(self, version: int) -> Iterator[None]:
        """Let the current task, and those that it starts, read the standby, which must have this knowledge version."""
        token = self._version.set(version)
        try:
            yield
        finally:
            self._version.reset(token)

    @asynccontextmanager
    async def __call__(self, tenant_id: str) -> AsyncIterator[AsyncSession]:
        """Open a transaction of one tenant. Raises StandbyUnfit, or StoreAway if the database does not answer."""
        version = self._version.get()
        if version is None:
            async with self._primary.tenant(tenant_id) as session:
                yield session
            return
        async with self._standby.tenant(tenant_id, seconds=ROUND_TRIP_SECONDS) as session:
            _, (state,) = await send(session, _ONE_SNAPSHOT, Statement(_STATE, {"tenant": tenant_id}))
            if not state.is_standby:
                raise StandbyUnfit("promoted")
            if state.version < version:
                raise StandbyUnfit("behind")
            yield session


@asynccontextmanager
async def opened_sessions(url: SecretStr | None, primary: Database) -> AsyncIterator[SearchSessions | None]:
    """Yield the sessions for the standby at an address; None without an address. The first search connects to it."""
    if url is None:
        yield None
        return
    async with aclosing(Database(url.get_secret_value(), pool_seconds=POOL_SECONDS)) as standby:
        yield SearchSessions(primary, standby)


class StandbySearch:
    """Implements the engine's ``Search`` with the standby, and with the primary if the standby cannot serve.

    ``Found.standby`` says which one served. A standby that did not answer is not asked for ``AWAY_SECONDS``.
    """

    def __init__(
        self, retriever: Retriever, sessions: SearchSessions, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._retriever = retriever
        self._sessions = sessions
        self._monotonic = monotonic
        self._away_until = 0.0

    async def __call__(self, query: str, scope: Scope, *, k: int = 5, earlier: Sequence[str] = ()) -> Found:
        """Return the k best passages, as ``Retriever`` does. Raises what it raises on the primary."""
        use: StandbyUse = "away"
        if self._monotonic() >= self._away_until:
            version = await self._retriever.version(scope.tenant_id)
            try:
                with self._sessions.on_standby(version):
                    found = await self._retriever(query, scope, k=k, earlier=earlier)
                return replace(found, standby="used")
            except StandbyUnfit as unfit:
                use = unfit.use
                log.info("a search reads the primary: %s", unfit)
            except (StoreAway, DBAPIError, psycopg.Error) as error:
                # A conflict means that the standby canceled a statement which was in the way of the replay.
                if is_conflict(error):
                    log.info("the standby canceled a search, which reads the primary: %s", for_operator(error))
                else:
                    self._away_until = self._monotonic() + AWAY_SECONDS
                    log.warning("the standby does not answer, so searches read the primary: %s", for_operator(error))
        return replace(await self._retriever(query, scope, k=k, earlier=earlier), standby=use)
