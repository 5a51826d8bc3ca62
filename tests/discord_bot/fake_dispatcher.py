"""A fake dispatcher that answers from a script, so that Discord is tested without an engine."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from bot.engine.ports.surface import Surface
from bot.errors import NotAllowed, StoreAway, SurfaceError, UsageError
from bot.types.audience import Audience
from bot.types.conversation import Author, Incoming, Platform, ThreadKey
from bot.types.display import Citation, Part
from bot.types.turns import Outcome, Turn
from bot.types.usage import Tier

SOURCE = Citation(
    n=1,
    source="https://handbook.example/leave",
    title="Leave",
    quote="Everybody has 30 days of paid leave a year.",
    heading=("Leave", "Paid leave"),
)
SCRIPT = ("Everybody has", "Everybody has 30 days of paid leave", "Everybody has 30 days of paid leave a year [1].")


class ScriptedDispatcher:
    """Answers every turn with the script, one edit per line, and records its calls."""

    def __init__(self, script: Sequence[str] = SCRIPT, pause: float = 0.01) -> None:
        self.script = script
        self.pause = pause
        self.turns: dict[str, Turn] = {}
        self.incoming: list[Incoming] = []
        self.running: dict[str, asyncio.Task[Outcome]] = {}
        self.rated: list[tuple[str, str, str, int, str]] = []
        self.stopped: list[tuple[str, Author]] = []
        self.requested_tiers: list[Tier | None] = []
        self.followed: set[ThreadKey] = set()
        self.orphaned: list[Turn] = []
        self.errors: list[SurfaceError] = []
        self.refs: list[str] = []
        self.started: list[tuple[Turn, Surface]] = []
        self.edits: list[Incoming] = []
        self.deletions: list[tuple[ThreadKey, str]] = []
        self.forgotten: list[str] = []
        self.without_mention: list[Incoming] = []
        self.auto_answers = False
        self.last_connected: datetime | None = None
        self.store_failures = 0
        self.store_failures_at_start = 0
        self.served: list[Platform] = []
        self._count = itertools.count(1)
        self._seen: set[tuple[str, str, str]] = set()

    async def admins(self, tenant_id: str) -> tuple[str, ...]:
        return ()

    async def accept(self, incoming: Incoming) -> Turn | None:
        if self.store_failures:
            self.store_failures -= 1
            raise StoreAway("gone")
        if not incoming.text:
            raise UsageError("Ask me something: write your question after my name.")
        if incoming.text == "crash":
            raise RuntimeError("the database is gone")
        key = (incoming.thread.tenant_id, incoming.thread.channel_id, incoming.message_id)
        if key in self._seen:
            return None
        self._seen.add(key)
        self.incoming.append(incoming)
        return self.keep(incoming.thread, incoming.message_id, incoming.author, incoming.text)

    def keep(self, thread: ThreadKey, message_id: str, author: Author, question: str) -> Turn:
        turn = Turn(
            id=f"turn-{next(self._count)}",
            thread=thread,
            message_id=message_id,
            author=author,
            question=question,
            wish=None,
            fresh=False,
            created_at=datetime.now(UTC),
        )
        self.turns[turn.id] = turn
        return turn

    def start(self, turn: Turn, surface: Surface) -> asyncio.Task[Outcome]:
        self.followed.add(turn.thread)
        self.started.append((turn, surface))
        task = asyncio.create_task(self._answer(turn, surface))
        self.running[turn.id] = task
        return task

    async def _answer(self, turn: Turn, surface: Surface) -> Outcome:
        first = Part(text="Looking through the documents ...", nonce=f"{turn.id}-0", turn_id=turn.id, actions=("stop",))
        try:
            ref = await surface.post(first)
            self.refs.append(ref)
            for text in self.script:
                await asyncio.sleep(self.pause)
                await surface.edit(ref, dataclasses.replace(first, text=text))
            await surface.edit(ref, self.final_part(turn, first.nonce))
        except SurfaceError as error:
            self.errors.append(error)
            return Outcome(turn.id, turn.thread, "failed")
        return Outcome(turn.id, turn.thread, "done", answer=self.script[-1])

    def final_part(self, turn: Turn, nonce: str) -> Part:
        return Part(
            text=self.script[-1],
            nonce=nonce,
            turn_id=turn.id,
            final=True,
            sources=(SOURCE,),
            notes=("cheap model",),
            actions=("sources", "why", "up", "down", "again", "strong"),
        )

    async def accept_unmentioned(self, incoming: Incoming) -> Turn | None:
        self.without_mention.append(incoming)
        if not self.auto_answers:
            return None
        return self.keep(incoming.thread, incoming.message_id, incoming.author, incoming.text)

    async def note_command(self, thread: ThreadKey, message_id: str) -> bool:
        key = (thread.tenant_id, thread.channel_id, message_id)
        fresh = key not in self._seen
        self._seen.add(key)
        return fresh

    async def edited(self, incoming: Incoming) -> Turn | None:
        self.edits.append(incoming)
        return self.keep(incoming.thread, incoming.message_id, incoming.author, incoming.text)

    async def deleted(self, thread: ThreadKey, message_id: str, surface_for: Callable[[Turn], Surface]) -> list[Turn]:
        self.deletions.append((thread, message_id))
        return [turn for turn in self.turns.values() if turn.message_id == message_id]

    async def forget(
        self, turn_id: str, by: Author, *, tenant_id: str, surface_for: Callable[[Turn], Surface]
    ) -> list[Turn]:
        turn = self.turns[turn_id]
        if by.id != turn.author.id and not by.is_admin:
            raise NotAllowed("Only the asker or an admin can delete this.")
        self.forgotten.append(turn_id)
        return [turn]

    async def direct_channels(self, platform: Platform) -> list[str]:
        return list(dict.fromkeys(one.thread.channel_id for one in self.incoming if one.kind == "dm"))

    async def mark_serving(self, platform: Platform) -> None:
        self.served.append(platform)

    async def last_served(self, platform: Platform) -> datetime | None:
        if self.store_failures_at_start:
            self.store_failures_at_start -= 1
            raise StoreAway("gone")
        return self.last_connected

    async def stop(self, turn_id: str, by: Author, *, tenant_id: str = "") -> None:
        turn = self.turns[turn_id]
        if by.id != turn.author.id and not by.is_admin:
            raise NotAllowed("Only the asker or an admin can stop this answer.")
        self.stopped.append((turn_id, by))
        self.running[turn_id].cancel()

    async def repeat(self, turn_id: str, by: Author, *, tenant_id: str, wish: Tier | None, audience: Audience) -> Turn:
        old = self.turns.get(turn_id)
        if old is None or old.thread.tenant_id != tenant_id:
            raise UsageError("That question is no longer there.")
        self.requested_tiers.append(wish)
        return self.keep(old.thread, f"again:{turn_id}", by, old.question)

    async def rate(self, turn_id: str, by: Author, *, tenant_id: str, value: int, reason: str = "") -> None:
        self.rated.append((turn_id, by.id, tenant_id, value, reason))

    async def follows(self, thread: ThreadKey) -> bool:
        return thread in self.followed

    async def resume(self, platform: Platform, surface_for: Callable[[Turn], Surface]) -> int:
        assert platform == "discord"
        waiting, self.orphaned = self.orphaned, []
        for turn in waiting:
            self.start(turn, surface_for(turn))
        return len(waiting)

    async def close(self, grace: float = 10.0) -> None:
        if self.running:
            await asyncio.wait(self.running.values(), timeout=grace)
        for task in self.running.values():
            task.cancel()
        await asyncio.gather(*self.running.values(), return_exceptions=True)
