"""Leases a turn, renews the lease with a heartbeat, and confirms it before anything is shown."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from bot.engine.aio import finish_then_cancel
from bot.engine.ports.leases import Leases
from bot.engine.ports.stores import Stores
from bot.errors import LeaseLost, PlatformAway, StoreAway, for_operator
from bot.types.turns import Lease, Turn

log = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 8.0
CONFIRM_SECONDS = 14.0
"""Seconds without a renewal after which the lease is confirmed before anything more is shown.

This is less than half of the lease's duration, because a paused process resumes in the middle of its work.
"""


async def take_lease(stores: Stores, turn: Turn, wait: Callable[[], Awaitable[None]]) -> tuple[Turn, Lease]:
    """Lease the turn and return its current state. While its thread is busy, await ``wait`` between two attempts.

    If the task is cancelled during the database call, the call still completes and the cancellation takes effect at the
    next await. Otherwise a lease unknown to this process could block the thread until it expires. Raises LeaseLost.
    """
    while (taken := await finish_then_cancel(_try_lease(stores, turn))) is None:
        await wait()
    return taken


async def _try_lease(stores: Stores, turn: Turn) -> tuple[Turn, Lease] | None:
    lease = await stores.leases.lease(turn)
    if lease is not None and (lease.fence > 1 or lease.recorded):
        turn = await stores.inbox.turn(turn.thread.tenant_id, turn.id) or turn
    return None if lease is None else (turn, lease)


@dataclass(slots=True)
class HeldLease:
    """The lease of a turn that this process answers. ``lost`` once another process has the turn.

    ``confirmed`` is the last time at which the lease was known to be valid, in seconds of the monotonic clock.
    """

    leases: Leases
    monotonic: Callable[[], float]
    turn: Turn
    lease: Lease
    confirmed: float
    lost: bool = False

    async def confirm(self) -> None:
        """Check that the lease is still valid.

        Raises LeaseLost if it is not, and PlatformAway if this cannot be determined.
        """
        if self.monotonic() - self.confirmed < CONFIRM_SECONDS:
            return
        try:
            await self.renew()
        except StoreAway as away:
            raise PlatformAway("This process cannot check whether it may still show the answer. It retries.") from away

    async def renew(self) -> None:
        """Extend the lease. Raises LeaseLost or StoreAway."""
        asked = self.monotonic()
        await self.leases.renew(self.turn, self.lease)
        self.confirmed = asked

    @asynccontextmanager
    async def heartbeat(self, doubt: asyncio.Event) -> AsyncIterator[None]:
        """Renew the lease while the body runs and cancel the body once it is lost. ``doubt`` triggers a renewal."""
        body = asyncio.current_task()
        assert body is not None
        task = asyncio.create_task(self._beat(body, doubt))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _beat(self, body: asyncio.Task[object], doubt: asyncio.Event) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(HEARTBEAT_SECONDS):
                    await doubt.wait()
            doubt.clear()
            try:
                await self.renew()
            except LeaseLost:
                self.lost = True
                body.cancel()
                return
            except Exception as error:
                log.warning("lease of turn %s not renewed: %s", self.turn.id, for_operator(error))
