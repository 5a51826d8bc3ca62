"""The turn queue on PostgreSQL: see ``bot.engine.ports.turn_queue.TurnQueue``."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from functools import partial
from itertools import groupby

from sqlalchemy.ext.asyncio import AsyncSession

from bot.errors import StoreAway
from bot.store.database import process_liveness
from bot.store.database.process_liveness import Evidence
from bot.store.database.session import Database
from bot.store.turns import turn_queue, turns
from bot.types.conversation import Platform, ThreadKey
from bot.types.turns import UNLIMITED, Notice, TenantRoom, Turn


class PostgresTurnQueue:
    """Claims queued turns.

    ``holder`` returns the number under which this process may hold turns, None while it may not. ``evidence`` returns
    what this process knows about the others.
    """

    def __init__(
        self, database: Database, *, holder: Callable[[], int | None], evidence: Callable[[], Evidence]
    ) -> None:
        self._database = database
        self._holder = holder
        self._evidence = evidence

    async def ready_turns(
        self,
        platform: Platform,
        *,
        known: Collection[str] = (),
        room: TenantRoom = UNLIMITED,
        most: int = 100,
        suspects: bool = True,
    ) -> Sequence[Turn]:
        await self._free_turns_of_dead_processes()
        async with self._database.queue() as session:
            found = await turn_queue.ready(
                session,
                platform=platform,
                holder=self._holder(),
                known=known,
                room=room,
                most=most,
                suspects=suspects,
            )
        claimed = [await self._claim(one) for one in found]
        return [turn for turn in claimed if turn is not None]

    async def _claim(self, found: turn_queue.Ready) -> Turn | None:
        """Hold the turn for this process if the turn is queued. Return None if another process was faster."""

        async def claim(session: AsyncSession) -> Turn | None:
            turn = await turns.get(session, tenant_id=found.tenant_id, turn_id=found.turn_id)
            if turn is None or found.running or self._holder() is None:
                return turn
            return turn if await turn_queue.hold(session, turn=turn, holder=self._holder()) else None

        return await self._database.run(found.tenant_id, claim)

    async def has_work(self, platform: Platform, *, known: Collection[str] = ()) -> bool:
        async with self._database.queue() as session:
            return await turn_queue.has_work(session, platform=platform, holder=self._holder(), known=known)

    async def _free_turns_of_dead_processes(self) -> None:
        async with self._database.queue() as session:
            left = await turn_queue.left_behind(session, holder=self._holder(), evidence=self._evidence())
        for (tenant_id, _), of_tenant in groupby(left, key=lambda one: (one.tenant_id, one.suspect)):
            freed = partial(turn_queue.set_free, tenant_id=tenant_id, left=list(of_tenant))
            await self._database.run(tenant_id, freed)

    async def hold(self, turn: Turn) -> bool:
        holding = partial(turn_queue.hold, turn=turn, holder=self._holder())
        return await self._database.run(turn.thread.tenant_id, holding)

    async def release(self, turn: Turn) -> None:
        releasing = partial(turn_queue.release, turn=turn, holder=self._holder())
        await self._database.run(turn.thread.tenant_id, releasing)

    async def record_waiting(self, turn: Turn, index: int, ref: str | None) -> str | None:
        recording = partial(turn_queue.record_waiting, turn=turn, holder=self._holder(), index=index, ref=ref)
        return await self._database.run(turn.thread.tenant_id, recording)

    async def open_turns(self, thread: ThreadKey) -> Sequence[Turn]:
        async with self._database.tenant(thread.tenant_id) as session:
            return await turns.open_turns(session, thread=thread)

    async def ask_to_stop(self, turn: Turn) -> bool:
        async def ask(session: AsyncSession) -> bool:
            asked = await turns.ask_to_stop(session, turn=turn)
            if asked:
                await turn_queue.tell(session, Notice("stop", turn.id))
            return asked

        return await self._database.run(turn.thread.tenant_id, ask)

    async def mark_serving(self, platform: Platform) -> None:
        holder = self._holder()
        if holder is None:
            raise StoreAway("the connection for notifications is broken")
        async with self._database.queue() as session:
            await process_liveness.mark_serving(session, process_id=holder, platform=platform)

    async def last_served(self, platform: Platform) -> datetime | None:
        async with self._database.queue() as session:
            return await process_liveness.last_served(session, process_id=self._holder() or 0, platform=platform)

    async def direct_channels(self, platform: Platform) -> Sequence[str]:
        async with self._database.queue() as session:
            return await turn_queue.direct_channels(session, platform=platform)
