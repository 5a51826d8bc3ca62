"""Provides a scripted dispatcher and an in-memory history, to test the page without engine and database."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import cast

from bot.commands.base import Command, Context, File, OnUpdate, Reply, Table
from bot.commands.services import Services
from bot.engine.answer.final_reply import answer_text
from bot.engine.dispatch.dispatcher import SurfaceFor
from bot.engine.ports.surface import Surface
from bot.errors import NotAllowed, SurfaceError, UsageError
from bot.platforms.web import user_messages
from bot.platforms.web.command_cards import CommandCard, from_json
from bot.platforms.web.event_hub import EventHub
from bot.platforms.web.history import CHANNEL, StoredPage, thread_key
from bot.platforms.web.playground import Playground
from bot.platforms.web.playground_ports import CommandRunner
from bot.platforms.web.question_branches import BranchLinks
from bot.store.browser_page.page_conversations import MessageRow, ThreadRow
from bot.types.audience import Audience
from bot.types.conversation import LOCAL_TENANT, Attachment, Author, Incoming, Platform
from bot.types.display import Action, Part
from bot.types.turns import Outcome, Turn, TurnState
from bot.types.usage import Tier
from tests.web.fake_documents import SOURCES, NoPages, ScriptedDocuments, ScriptedWelcome

PIECES = (
    "The limit for a hotel in London is **220 EUR** per night [1].\n\n",
    "| City | Limit |\n|---|---:|\n| London | 220 EUR |\n| Ghent | 140 EUR |\n\n",
    "Until 28 February 2026 it was 160 EUR in every city [2].",
)
VERIFIED = "✅ Verified by Ada on 2026-03-02."
AFTER: tuple[Action, ...] = ("sources", "why", "up", "down", "again", "strong")


def now() -> datetime:
    return datetime.now(UTC)


BeforePiece = Callable[[], Awaitable[object]]


@dataclass
class ScriptedDispatcher:
    """Answers every question with the same pieces; ``before_piece`` is awaited before each.

    Like the real one, it answers one question of a conversation at a time.
    """

    before_piece: BeforePiece
    pieces: Sequence[str] = PIECES
    turns: dict[str, Turn] = field(default_factory=dict)
    answers: dict[str, str] = field(default_factory=dict)
    running: dict[str, asyncio.Task[Outcome]] = field(default_factory=dict)
    thumbs: list[tuple[str, int, str]] = field(default_factory=list)
    unfinished: list[Turn] = field(default_factory=list)
    asked: list[Incoming] = field(default_factory=list)
    stopped: set[str] = field(default_factory=set)
    refusal: str = ""

    async def accept(self, incoming: Incoming) -> Turn | None:
        self.asked.append(incoming)
        if not incoming.text.strip() and not incoming.attachments:
            raise UsageError("Write a question.")
        if any(turn.message_id == incoming.message_id for turn in self.turns.values()):
            return None
        turn = Turn(
            str(uuid.uuid4()),
            incoming.thread,
            incoming.message_id,
            incoming.author,
            incoming.text,
            incoming.wish,
            incoming.fresh,
            now(),
        )
        self.turns[turn.id] = turn
        return turn

    def start(self, turn: Turn, surface: Surface) -> asyncio.Task[Outcome]:
        before = [task for other, task in self.running.items() if self.turns[other].thread == turn.thread]
        self.running[turn.id] = asyncio.create_task(self._run(turn, surface, before))
        return self.running[turn.id]

    async def _run(self, turn: Turn, surface: Surface, before: Sequence[asyncio.Task[Outcome]]) -> Outcome:
        if before:
            await asyncio.wait(before)
        if self.refusal:
            return Outcome(turn.id, turn.thread, "refused", refused=self.refusal)
        part = Part("Searching the documents …", "1", turn.id, actions=("stop",))
        ref = await surface.post(part)
        text = ""
        state: TurnState = "done"
        try:
            for piece in self.pieces:
                await self.before_piece()
                text += piece
                await surface.edit(ref, replace(part, text=text))
        except asyncio.CancelledError:
            state = "cancelled"
            self.stopped.add(turn.id)
        notes = ("quoted, not written", "extractive", "$0.00")
        shown = answer_text(text, state)
        await surface.edit(ref, replace(part, text=shown, final=True, sources=SOURCES, notes=notes, actions=AFTER))
        self.answers[turn.id] = text
        del self.running[turn.id]
        return Outcome(turn.id, turn.thread, state, text, SOURCES)

    async def stop(self, turn_id: str, by: Author, *, tenant_id: str) -> None:
        if turn_id not in self.running:
            raise UsageError("This answer has already ended.")
        if by.id != self.turns[turn_id].author.id:
            raise NotAllowed("Only the asker can stop it.")
        self.running[turn_id].cancel()

    async def repeat(
        self,
        turn_id: str,
        by: Author,
        *,
        tenant_id: str,
        wish: Tier | None,
        audience: Audience,
        place: tuple[Platform, str] | None,
    ) -> Turn:
        if turn_id not in self.turns or place != ("web", self.turns[turn_id].thread.channel_id):
            raise UsageError("This answer is not known.")
        again = replace(self.turns[turn_id], id=str(uuid.uuid4()), message_id=uuid.uuid4().hex, wish=wish, fresh=True)
        self.turns[again.id] = again
        return again

    async def change(self, turn_id: str, by: Author, text: str, *, tenant_id: str, audience: Audience) -> Turn | None:
        if by.id != self.turns[turn_id].author.id:
            raise NotAllowed("Only the asker can edit the question.")
        self.answers.pop(turn_id, None)
        self.turns[turn_id] = replace(self.turns[turn_id], question=text)
        return self.turns[turn_id]

    async def forget(self, turn_id: str, by: Author, *, tenant_id: str, surface_for: SurfaceFor) -> Sequence[Turn]:
        turn = self.turns.pop(turn_id)
        self.answers.pop(turn_id, None)
        return [turn]

    async def rate(self, turn_id: str, by: Author, *, tenant_id: str, value: int, reason: str = "") -> None:
        self.thumbs.append((turn_id, value, reason))

    def runs_here(self, turn_id: str) -> bool:
        return turn_id in self.running

    async def resume(self, platform: Platform, surface_for: SurfaceFor) -> int:
        waiting, self.unfinished = self.unfinished, []
        for turn in waiting:
            self.turns[turn.id] = turn
            self.start(turn, surface_for(turn))
        return len(waiting)


@dataclass
class MemoryHistory:
    """The dispatcher's turns, in the form in which the store returns them."""

    dispatcher: ScriptedDispatcher
    broken: bool = False
    strong_model: str | None = "strong-1"
    page_turns: int = 40
    pinned: frozenset[str] = frozenset()
    names: dict[str, str] = field(default_factory=dict)

    async def threads(self, limit: int) -> Sequence[ThreadRow]:
        by_thread = {turn.thread: turn for turn in self.dispatcher.turns.values()}
        rows = [ThreadRow(key, await self.title(key.thread_id), newest.created_at) for key, newest in by_thread.items()]
        return sorted(rows, key=lambda row: row.updated_at, reverse=True)[:limit]

    async def listed(self, limit: int, search: str = "") -> Sequence[ThreadRow]:
        rows = [
            replace(row, pinned=row.key.thread_id in self.pinned)
            for row in await self.threads(limit)
            if search.lower() in row.title.lower()
        ]
        return sorted(rows, key=lambda row: not row.pinned)

    async def rename(self, thread_id: str, title: str) -> bool:
        exists = bool(await self.title(thread_id))
        self.names |= {thread_id: title} if exists else {}
        return exists

    async def pin(self, thread_id: str, pinned: bool) -> bool:
        exists = bool(await self.title(thread_id))
        self.pinned = self.pinned | {thread_id} if pinned and exists else self.pinned - {thread_id}
        return exists

    async def title(self, thread_id: str) -> str:
        asked = [one.question for one in self.dispatcher.turns.values() if one.thread.thread_id == thread_id]
        return self.names.get(thread_id, asked[0]) if asked else ""

    async def page(self, thread_id: str, before: str | None = None) -> StoredPage:
        rows = await self.messages(thread_id)
        ids = StoredPage(rows).turn_ids
        end = ids.index(before) if before else len(ids)
        start = max(0, end - self.page_turns)
        kept = [row for row in rows if row.turn_id in ids[start:end]]
        until = self.dispatcher.turns[before].created_at if before else None
        return StoredPage(kept, ids[start] if start else "", until)

    async def ratings(self, turn_ids: Sequence[str], user_id: str) -> Mapping[str, int]:
        return {turn: value for turn, value, _ in self.dispatcher.thumbs if turn in turn_ids}

    async def messages(self, thread_id: str) -> Sequence[MessageRow]:
        rows: list[MessageRow] = []
        for turn in self.dispatcher.turns.values():
            if turn.thread == thread_key(thread_id):
                refused = self.dispatcher.refusal or None
                state: TurnState = "done" if turn.id in self.dispatcher.answers else "refused" if refused else "running"
                state = "cancelled" if turn.id in self.dispatcher.stopped else state
                asked = MessageRow(turn.id, "user", turn.author.name, turn.question, turn.created_at, state)
                rows.append(replace(asked, refused=refused))
                if turn.id in self.dispatcher.answers:
                    answer = self.dispatcher.answers[turn.id]
                    rows.append(MessageRow(turn.id, "assistant", "Parley", answer, now(), state, SOURCES, ("stored",)))
        return rows

    async def questions(self, turn_ids: Sequence[str]) -> Mapping[str, tuple[str, TurnState]]:
        found: dict[str, tuple[str, TurnState]] = {}
        for turn_id in turn_ids:
            if turn := self.dispatcher.turns.get(turn_id):
                rows = await self.messages(turn.thread.thread_id)
                found[turn_id] = next((row.text, row.state) for row in rows if row.turn_id == turn_id)
        return found

    async def ready(self) -> None:
        if self.broken:
            raise ConnectionError("no database")


@dataclass
class MemoryFiles:
    """The page's files, in memory."""

    attached: dict[str, Attachment] = field(default_factory=dict)
    replies: dict[str, File] = field(default_factory=dict)

    async def attach(self, name: str, content_type: str, data: bytes, added_by: str) -> str:
        async def read() -> bytes:
            return data

        key = uuid.uuid4().hex
        self.attached[key] = Attachment(name, content_type, len(data), read, ref=key)
        return key

    async def attachment(self, key: str) -> Attachment:
        if key not in self.attached:
            raise UsageError(user_messages.ATTACHMENT_EXPIRED)
        return self.attached[key]

    async def read(self, key: str) -> bytes:
        if key not in self.attached:
            raise SurfaceError(user_messages.ATTACHMENT_UNREADABLE)
        return await self.attached[key].read()

    async def keep_reply(self, file: File, made_for: str) -> str:
        key = uuid.uuid4().hex
        self.replies[key] = file
        return key

    async def reply(self, key: str) -> File | None:
        return self.replies.get(key)


@dataclass
class MemoryCards:
    """The cards of commands, in memory, in their stored form. Like PostgreSQL, refuses NUL characters."""

    written: dict[str, tuple[int, str]] = field(default_factory=dict)
    position: int = 0
    dead: list[CommandCard] = field(default_factory=list)
    touched: list[Sequence[str]] = field(default_factory=list)

    async def write(self, card: CommandCard) -> None:
        written = json.dumps(asdict(card))
        if "\\u0000" in written:
            raise ValueError("unsupported Unicode escape sequence")
        self.position += 1
        self.written[card.id] = (self.position, written)
        self.dead = [one for one in self.dead if one.id != card.id]

    async def changes(self, after: int) -> tuple[Sequence[CommandCard], int]:
        found = sorted(one for one in self.written.values() if one[0] > after)
        return [from_json(json.loads(stored)) for _, stored in found], found[-1][0] if found else after

    async def touch(self, ids: Sequence[str]) -> None:
        self.touched.append(ids)

    async def silent(self) -> Sequence[CommandCard]:
        return self.dead

    async def delete_of_thread(self, thread_id: str, author_id: str) -> None:
        cards = {key: from_json(json.loads(stored)) for key, (_, stored) in self.written.items()}
        for key, card in cards.items():
            if card.thread.id == thread_id and (card.public or card.author_id == author_id):
                del self.written[key]


async def _run(name: str, args: str, context: Context) -> Reply:
    match name:
        case "budget":
            table = Table(("Person", "Used", "Limit"), [("You <b>", 1234, 200_000), ("Ada", 0, None)])
            return Reply("**12%** of today's tokens are used.", table)
        case "costs":
            return Reply("Costs of 30 days.", file=File("costs.csv", b"model,cost\nx,1\n", "text/csv"))
        case "ingest" if context.attachments:
            await context.update("handbook: 0 of 1 documents")
            data = await context.attachments[0].read()
            return Reply(f"Added {context.attachments[0].name}, {len(data)} bytes. {args}".strip())
        case "sources":
            return Reply(f"Quotes of {args}")
        case "ask":
            listed = "[1] Expenses and travel › Hotels\n[2] Travel policy 2024"
            return Reply(f"{PIECES[0]}{listed}", answer=PIECES[0], citations=SOURCES, notes=(VERIFIED,))
        case "why":
            return Reply(f"Trace of {args}", Table(("Passage", "Score"), [("Hotels", 0.91)]))
        case "broken":
            raise RuntimeError("a secret detail")
    raise UsageError("Write /ingest ADDRESS.")


COMMANDS = tuple(
    Command(name, f"does {name}", usage, lambda context, line: _run("help", line, context))
    for name, usage in (
        ("ingest", "ADDRESS..."),
        ("budget", ""),
        ("costs", "[DAYS]"),
        ("ask", "QUESTION"),
        ("why", "[ID]"),
        ("broken", ""),
    )
)


def _context(
    *,
    thread_id: str | None,
    author: Author,
    attachments: tuple[Attachment, ...],
    update: OnUpdate,
) -> Context:
    return Context(LOCAL_TENANT, "web", CHANNEL, thread_id, author, cast(Services, None), attachments, update)


class NoBranches:
    """No conversation has branches, and none can begin."""

    async def begin(self, turn_id: str, thread_id: str, question: str) -> bool:
        return False

    async def remove_empty(self, thread_id: str) -> None:
        """Do nothing."""

    async def links(self, thread_id: str) -> BranchLinks:
        return BranchLinks()

    async def copies(self, turn_id: str, *, other_than: str = "") -> Sequence[str]:
        return ()


def scripted_playground(
    dispatcher: ScriptedDispatcher, *, hub: EventHub | None = None, cards: MemoryCards | None = None
) -> Playground:
    """Return a playground over the fakes."""
    return Playground(
        dispatcher,
        MemoryHistory(dispatcher),
        CommandRunner(COMMANDS, _run, _context),
        hub or EventHub(),
        now,
        MemoryFiles(),
        MemoryCards() if cards is None else cards,
        ScriptedWelcome(),
        ScriptedDocuments(),
        NoPages(),
        NoBranches(),
    )
