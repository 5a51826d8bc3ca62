"""Fakes the dispatcher: records the calls and answers with two edits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

from bot.engine.ports.surface import Surface
from bot.errors import NotAllowed, UsageError
from bot.types.audience import Audience
from bot.types.conversation import Author, Incoming, Platform, ThreadKey
from bot.types.display import Citation, Part
from bot.types.turns import Outcome, Turn
from bot.types.usage import Tier

CITED = Citation(1, "https://handbook.example/leave", "Leave", "Everyone has 30 days.", heading=("Holidays",), page=4)


class ScriptedDispatcher:
    """Accepts each message once, like the store, and answers through the surface."""

    def __init__(self) -> None:
        self.accepted: list[Incoming] = []
        self.started: list[Turn] = []
        self.first_seen: set[tuple[str, str, str]] = set()
        self.edits: list[Incoming] = []
        self.overheard_messages: list[Incoming] = []
        self.answers_unmentioned = False
        self.deletions: list[tuple[ThreadKey, str]] = []
        self.refusal: Exception | None = None
        self.failures = 0
        self.known_threads: set[str] = set()
        self.orphans: list[Turn] = []
        self.stopped: list[tuple[str, str]] = []
        self.ratings: list[tuple[str, str, int, str]] = []
        self.repeats: list[tuple[str, Tier | None]] = []
        self.repeated_for: list[Audience] = []
        self.pause: asyncio.Event | None = None
        self._tasks: list[asyncio.Task[Outcome]] = []

    async def accept(self, incoming: Incoming) -> Turn | None:
        if self.failures:
            self.failures -= 1
            raise RuntimeError("the database is unavailable")
        if self.refusal is not None:
            raise self.refusal
        key = (incoming.thread.tenant_id, incoming.thread.channel_id, incoming.message_id)
        if key in [
            (earlier.thread.tenant_id, earlier.thread.channel_id, earlier.message_id) for earlier in self.accepted
        ]:
            return None
        self.accepted.append(incoming)
        return self.turn(incoming.thread, incoming.author, incoming.text, incoming.message_id)

    def turn(self, thread: ThreadKey, author: Author, text: str, message_id: str) -> Turn:
        return Turn(f"turn-{message_id}", thread, message_id, author, text, None, False, datetime.now(UTC))

    def start(self, turn: Turn, surface: Surface) -> asyncio.Task[Outcome]:
        self.started.append(turn)
        self.known_threads.add(turn.thread.thread_id)
        task = asyncio.create_task(self._answer(turn, surface))
        self._tasks.append(task)
        return task

    async def _answer(self, turn: Turn, surface: Surface) -> Outcome:
        ref = await surface.post(Part("…", f"{turn.id}-0", turn.id, actions=("stop",)))
        await surface.edit(ref, Part("You said: ", f"{turn.id}-0", turn.id, actions=("stop",)))
        if self.pause is not None:
            await self.pause.wait()
        text = f"You said: **{turn.question}** [1]"
        final_part = Part(
            text,
            f"{turn.id}-0",
            turn.id,
            final=True,
            sources=(CITED,),
            notes=("90% of today's tokens are used.",),
            actions=("sources", "why", "up", "down", "again", "strong"),
        )
        await surface.edit(ref, final_part)
        return Outcome(turn.id, turn.thread, "done", text)

    async def note_command(self, thread: ThreadKey, message_id: str) -> bool:
        key = (thread.tenant_id, thread.channel_id, message_id)
        is_first = key not in self.first_seen
        self.first_seen.add(key)
        return is_first

    async def considers(self, thread: ThreadKey) -> bool:
        return self.answers_unmentioned

    async def accept_unmentioned(self, incoming: Incoming) -> Turn | None:
        self.overheard_messages.append(incoming)
        return None

    async def edited(self, incoming: Incoming) -> Turn | None:
        self.edits.append(incoming)
        return None

    async def deleted(self, thread: ThreadKey, message_id: str, surface_for: Callable[[Turn], Surface]) -> list[Turn]:
        self.deletions.append((thread, message_id))
        return []

    async def stop(self, turn_id: str, by: Author, *, tenant_id: str = "") -> None:
        if by.name != "alice" and not by.is_admin:
            raise NotAllowed("Only alice or an admin can stop this answer.")
        self.stopped.append((turn_id, by.name))

    async def repeat(self, turn_id: str, by: Author, *, tenant_id: str, wish: Tier | None, audience: Audience) -> Turn:
        earlier = next((turn for turn in self.started if turn.id == turn_id), None)
        if earlier is None or earlier.thread.tenant_id != tenant_id:
            raise UsageError("I no longer have that answer.")
        self.repeats.append((turn_id, wish))
        self.repeated_for.append(audience)
        return self.turn(earlier.thread, by, earlier.question, f"{earlier.message_id}-again")

    async def rate(self, turn_id: str, by: Author, *, tenant_id: str, value: int, reason: str = "") -> None:
        self.ratings.append((turn_id, by.name, value, reason))

    async def follows(self, thread: ThreadKey) -> bool:
        return thread.thread_id in self.known_threads

    async def resume(self, platform: Platform, surface_for: Callable[[Turn], Surface]) -> int:
        assert platform == "slack"
        orphans, self.orphans = self.orphans, []
        for turn in orphans:
            self.start(turn, surface_for(turn))
        return len(orphans)

    async def close(self, grace: float = 10.0) -> None:
        await asyncio.gather(*self._tasks)
