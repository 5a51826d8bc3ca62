"""Searches a hot standby of the database, or the primary while the standby misses changes.

A search asks the primary for the tenant's knowledge version first. Each of its transactions on the standby then checks
that it sees this version or a later one. So a search misses no change from before the question, however far the standby
is behind.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import replace

import psycopg
from pydantic import SecretStr
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from bot.errors import StoreAway, for_operator
from bot.store.database.pipelined_transactions import Statement, send
from bot.store.database.retry import is_conflict
from bot.store.database.session import CONNECTIONS, MORE_CONNECTIONS, Database
from knowledge.psycopg_connection import ONE_SNAPSHOT
from knowledge.search.retriever import Retriever
from knowledge.types.scope import Scope
from knowledge.types.search_results import Found, StandbyUse

log = logging.getLogger(__name__)

ANSWER_SECONDS = 1.0
"""Seconds to connect to the standby, begin a transaction and read its version: a live server needs milliseconds."""
ROUND_TRIP_SECONDS = 5.0
"""Seconds that one statement of a search may take on the standby before the search reads the primary."""
SEARCHES = (CONNECTIONS + MORE_CONNECTIONS) // 2
"""Searches on the standby at once, each with two connections. Others wait: a busy standby is none that is away."""
AWAY_SECONDS = 15.0
"""Seconds after which a standby that did not answer is asked again. No search waits for that."""

# A snapshot for the whole transaction, because a connection may lead to another standby than the one before.
_ONE_SNAPSHOT = Statement(ONE_SNAPSHOT[0])
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
        async with AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    session = await stack.enter_async_context(
                        self._standby.tenant(tenant_id, seconds=ROUND_TRIP_SECONDS)
                    )
                    _, (state,) = await send(session, _ONE_SNAPSHOT, Statement(_STATE, {"tenant": tenant_id}))
            except TimeoutError:
                raise StoreAway(f"no answer within {ANSWER_SECONDS:g} s") from None
            if not state.is_standby:
                raise StandbyUnfit("promoted")
            if state.version < version:
                raise StandbyUnfit("behind")
            yield session

    async def standby_answers(self, tenant_id: str) -> bool:
        """Return whether the standby answers, however far it is behind."""
        try:
            with self.on_standby(0):
                async with self(tenant_id):
                    return True
        except StandbyUnfit:
            return True
        except (StoreAway, DBAPIError, psycopg.Error):
            return False


@asynccontextmanager
async def opened_sessions(url: SecretStr | None, primary: Database) -> AsyncIterator[SearchSessions | None]:
    """Yield the sessions for the standby at an address; None without an address. The first search connects to it."""
    if url is None:
        yield None
        return
    async with aclosing(Database(url.get_secret_value(), pool_seconds=ANSWER_SECONDS)) as standby:
        yield SearchSessions(primary, standby)


class StandbySearch:
    """Implements the engine's ``Search`` with the standby, and with the primary if the standby cannot serve.

    ``Found.standby`` says which one served. After a standby did not answer, no search waits for it: after
    ``AWAY_SECONDS``, it is asked in the background whether it answers again.
    """

    def __init__(
        self, retriever: Retriever, sessions: SearchSessions, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._retriever = retriever
        self._sessions = sessions
        self._monotonic = monotonic
        self._ask_again_at: float | None = None
        """When the standby that did not answer is asked again; None while it answers."""
        self._asking: asyncio.Task[None] | None = None
        self._places = asyncio.Semaphore(SEARCHES)

    async def __call__(self, query: str, scope: Scope, *, k: int = 5, earlier: Sequence[str] = ()) -> Found:
        """Return the k best passages, as ``Retriever`` does. Raises what it raises on the primary."""
        use: StandbyUse = "away"
        async with self._places:
            if self._is_served(scope.tenant_id):
                version = await self._retriever.version(scope.tenant_id)
                try:
                    with self._sessions.on_standby(version):
                        return replace(await self._retriever(query, scope, k=k, earlier=earlier), standby="used")
                except StandbyUnfit as unfit:
                    use = unfit.use
                    log.info("a search reads the primary: %s", unfit)
                except (StoreAway, DBAPIError, psycopg.Error) as error:
                    self._note(error)
        return replace(await self._retriever(query, scope, k=k, earlier=earlier), standby=use)

    def _note(self, error: Exception) -> None:
        """Log why a search reads the primary. Unless it is a conflict, ask the standby again later."""
        # A conflict means that the standby canceled a statement which was in the way of the replay.
        if is_conflict(error):
            log.info("the standby canceled a search, which reads the primary: %s", for_operator(error))
        else:
            self._ask_again_at = self._monotonic() + AWAY_SECONDS
            log.warning("the standby does not answer, so searches read the primary: %s", for_operator(error))

    async def asked_again(self) -> None:
        """Wait until it is known whether the standby answers again, if it is being asked."""
        if self._asking is not None:
            await asyncio.wait([self._asking])

    async def aclose(self) -> None:
        """Stop asking whether the standby answers again."""
        if self._asking is not None:
            self._asking.cancel()
        await self.asked_again()

    def _is_served(self, tenant_id: str) -> bool:
        """Return whether the standby answered when it was last asked. If it is time, ask again in the background."""
        if self._ask_again_at is None:
            return True
        if self._monotonic() >= self._ask_again_at and (self._asking is None or self._asking.done()):
            self._asking = asyncio.create_task(self._ask_again(tenant_id))
        return False

    async def _ask_again(self, tenant_id: str) -> None:
        if await self._sessions.standby_answers(tenant_id):
            self._ask_again_at = None
            log.info("the standby answers again, so searches read it")
        else:
            self._ask_again_at = self._monotonic() + AWAY_SECONDS
