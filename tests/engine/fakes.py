"""Small fakes of the engine's ports."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from functools import partial

from bot.engine.memory import VerifiedFact
from bot.engine.ports.llm import Ended, Event, Meter, Prompt, TextDelta
from bot.engine.ports.stores import Stores
from bot.engine.ports.surface import PartRecorder
from bot.errors import LeaseLost, LLMError, OverBudget
from bot.types.answer_cache import NO_CACHE_NOTE, CachedAnswer, CacheNote
from bot.types.audience import MEMBERS, Audience
from bot.types.conversation import Author, History, Incoming, PastMessage, Platform, StoredAttachment, ThreadKey
from bot.types.display import Limits, Part
from bot.types.settings import ChannelSettings
from bot.types.turns import UNLIMITED, LateReplies, Lease, Outcome, TenantRoom, Turn, TurnRecord
from bot.types.usage import BudgetState, Call, Reservation, Tier, Usage
from knowledge.types.scope import Scope
from knowledge.types.search_results import Found, Passage

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
MIDNIGHT = datetime(2026, 11, 24, tzinfo=UTC)
THREAD = ThreadKey("slack:T1", "slack", "C1", "1.0")


def words(text: str) -> int:
    return len(text.split())


def turn(question: str = "How long may a journey last?", **changes: object) -> Turn:
    made = Turn("7b1c", THREAD, "1.0", Author("U1", "Ann"), question, None, False, NOON, audience=MEMBERS)
    return replace(made, **changes)  # type: ignore[arg-type]


def passage(text: str, n: int = 1) -> Passage:
    return Passage(n, f"doc{n}", text, f"rules{n}.md", "Rules", (), 100, 100 + len(text), None, 1.0)


def call(prompt: int, completion: int, status: str = "ok") -> Call:
    usage = Usage(input_tokens=prompt, completion_tokens=completion)
    return Call("answer", "fake", "fake-1", "cheap", usage, None, "unknown", status, 1.0)  # type: ignore[arg-type]


@dataclass
class Screen:
    """A Surface that records every version of every message."""

    limits: Limits = Limits(4000, 0.0)
    messages: dict[str, list[Part]] = field(default_factory=dict)

    async def post(self, part: Part) -> str:
        ref = f"m{len(self.messages)}"
        self.messages[ref] = [part]
        return ref

    async def edit(self, ref: str, part: Part) -> None:
        self.messages.setdefault(ref, []).append(part)

    async def delete(self, ref: str) -> None:
        self.messages.pop(ref, None)

    async def find(self, nonce: str) -> str | None:
        return next((ref for ref, parts in self.messages.items() if parts[0].nonce == nonce), None)

    @property
    def last(self) -> Part:
        return list(self.messages.values())[-1][-1]


Script = Callable[[Prompt], AsyncIterator[str | Event]]


async def says(*pieces: str | Event) -> AsyncIterator[str | Event]:
    for piece in pieces:
        yield piece


@dataclass
class Writer:
    """An LLM with one script per call. A call's tokens are the words of its prompt and its answer."""

    scripts: list[Script]
    prompts: list[Prompt] = field(default_factory=list)
    exact: int | None = None
    counted: int = 0

    async def count(self, prompt: Prompt) -> int | None:
        self.counted += 1
        return self.exact

    def model(self, tier: Tier) -> str:
        return f"fake-{tier}"

    async def ready(self) -> None:
        return None

    async def stream(self, prompt: Prompt, *, meter: Meter) -> AsyncIterator[Event]:
        self.prompts.append(prompt)
        said, status = "", "cancelled"
        try:
            async for piece in self.scripts.pop(0)(prompt):
                if isinstance(piece, str):
                    said += piece
                    yield TextDelta(piece)
                else:
                    yield piece
            status = "ok"
            yield Ended("complete", "fake-1", "fake")
        except LLMError:
            status = "error"
            raise
        finally:
            meter(call(sum(words(message.text) for message in prompt.messages), words(said), status))

    async def aclose(self) -> None:
        return None


@dataclass
class Library:
    """A Search over fixed passages."""

    passages: tuple[Passage, ...] = ()
    queries: list[tuple[str, Scope]] = field(default_factory=list)
    earlier: list[tuple[str, ...]] = field(default_factory=list)
    error: Exception | None = None
    confidence: float = 0.9
    weak_below: float = 0.0

    async def __call__(self, query: str, scope: Scope, *, k: int = 5, earlier: Sequence[str] = ()) -> Found:
        self.queries.append((query, scope))
        self.earlier.append(tuple(earlier))
        if self.error:
            raise self.error
        return Found(self.passages[:k], {"total": 1.0}, self.confidence, 1, weak_below=self.weak_below, documents=3)


@dataclass
class FakeInbox:
    """An inbox that accepts nothing and returns every turn as it was created."""

    async def accept(self, incoming: Incoming) -> Turn | None:
        raise NotImplementedError

    async def note_command(self, thread: ThreadKey, message_id: str) -> bool:
        return True

    async def turn(self, tenant_id: str, turn_id: str) -> Turn | None:
        return turn(id=turn_id)

    async def turn_shown_in(self, tenant_id: str, platform: Platform, ref: str, channel_id: str | None) -> Turn | None:
        return None

    async def turns_of(self, thread: ThreadKey, message_id: str) -> Sequence[Turn]:
        return ()

    async def replace_question(
        self, turn: Turn, question: str, audience: Audience, edited_at: datetime | None = None
    ) -> Turn | None:
        return replace(turn, question=question, audience=audience)

    async def follows(self, thread: ThreadKey) -> bool:
        return True


@dataclass
class FakeParts:
    """The reply messages on record; the first reference of each stays."""

    parts: dict[int, str | None] = field(default_factory=dict)

    def _record(self, index: int, ref: str | None) -> str | None:
        self.parts[index] = self.parts.get(index) or ref
        return self.parts[index]


@dataclass
class FakeQueue(FakeParts):
    """An empty queue."""

    released: list[str] = field(default_factory=list)

    async def ready_turns(
        self,
        platform: Platform,
        *,
        known: Collection[str] = (),
        room: TenantRoom = UNLIMITED,
        most: int = 100,
        suspects: bool = True,
    ) -> Sequence[Turn]:
        return ()

    async def has_work(self, platform: Platform, *, known: Collection[str] = ()) -> bool:
        return False

    async def hold(self, turn: Turn) -> bool:
        return True

    async def release(self, turn: Turn) -> None:
        self.released.append(turn.id)

    async def record_waiting(self, turn: Turn, index: int, ref: str | None) -> str | None:
        return self._record(index, ref)

    def record_waiting_for(self, turn: Turn) -> PartRecorder:
        return partial(self.record_waiting, turn)

    async def open_turns(self, thread: ThreadKey) -> Sequence[Turn]:
        return ()

    async def ask_to_stop(self, turn: Turn) -> bool:
        return True

    async def mark_serving(self, platform: Platform) -> None:
        return None

    async def last_served(self, platform: Platform) -> datetime | None:
        return None

    async def direct_channels(self, platform: Platform) -> Sequence[str]:
        return ()


@dataclass
class FakeBudgets:
    """One person's budget for a day, and further limits."""

    limit: int = 100_000
    used: int = 0
    reserved: int = 0
    shared: tuple[BudgetState, ...] = ()
    billed: list[Sequence[Call]] = field(default_factory=list)
    opened: list[tuple[Call, int | None]] = field(default_factory=list)

    async def budget(self, tenant_id: str, user_id: str) -> BudgetState:
        return BudgetState(self.used, self.reserved, self.limit, MIDNIGHT)

    async def budgets(self, tenant_id: str, channel_id: str, author: Author) -> tuple[BudgetState, ...]:
        return (await self.budget(tenant_id, author.id), *self.shared)

    async def reserve(self, turn: Turn, tokens: int) -> Reservation:
        if self.used + self.reserved + tokens > self.limit:
            raise OverBudget("spent", used=self.used, limit=self.limit, resets_at=MIDNIGHT)
        self.reserved += tokens
        return Reservation("r", tokens, date(2026, 11, 23))

    async def change_reservation(self, turn: Turn, reservation: Reservation, tokens: int) -> Reservation:
        more = tokens - reservation.tokens
        if more > 0 and self.used + self.reserved + more > self.limit:
            raise OverBudget("spent", used=self.used, limit=self.limit, resets_at=MIDNIGHT)
        self.reserved += more
        return replace(reservation, tokens=tokens)

    async def open_call(
        self, turn: Turn, call: Call, reservation: Reservation | None, *, tokens: int | None = None
    ) -> None:
        if reservation is not None and tokens is not None:
            await self.change_reservation(turn, reservation, tokens)
        self.opened.append((call, tokens))

    async def bill(self, turn: Turn, calls: Sequence[Call], reservation: Reservation | None) -> None:
        self.billed.append(calls)
        self._settle(calls, reservation)

    def _settle(self, calls: Sequence[Call], reservation: Reservation | None) -> None:
        self.used += sum(call.usage.total_tokens for call in calls)
        self.reserved -= reservation.tokens if reservation else 0


@dataclass
class FakeAnswerCache:
    """Answers by key."""

    answers: dict[str, CachedAnswer] = field(default_factory=dict)
    stood: list[int] = field(default_factory=list)
    shown_titles: dict[str, str] = field(default_factory=dict)

    async def cached(self, tenant_id: str, key: str) -> CachedAnswer | None:
        return self.answers.get(key)

    async def titles(self, tenant_id: str, documents: Sequence[str]) -> Mapping[str, str]:
        return {one: self.shown_titles[one] for one in documents if one in self.shown_titles}

    async def mark_current(self, tenant_id: str, known: CachedAnswer, version: int) -> None:
        self.stood.append(version)


@dataclass
class FakeLeases(FakeParts, FakeBudgets, FakeAnswerCache):
    """Leases: refused ``busy`` times, then granted until ``lost``. Ending a turn settles and caches."""

    lost: bool = False
    busy: int = 0
    finished: list[Outcome] = field(default_factory=list)
    handed_back: list[Sequence[Call]] = field(default_factory=list)
    kept: list[CacheNote] = field(default_factory=list)

    async def lease(self, turn: Turn) -> Lease | None:
        self.busy -= 1
        return None if self.busy >= 0 else Lease(turn.id, 1)

    async def renew(self, turn: Turn, lease: Lease) -> None:
        if self.lost:
            raise LeaseLost("taken over")

    async def record_part(
        self, turn: Turn, lease: Lease, index: int, ref: str | None, *, replaced: str | None = None
    ) -> str | None:
        if self.lost:
            raise LeaseLost("taken over")
        if replaced is not None and self.parts.get(index) == replaced:
            self.parts[index] = ref
        return self._record(index, ref)

    async def finish(
        self,
        turn: Turn,
        lease: Lease,
        outcome: Outcome,
        *,
        reservation: Reservation | None,
        cache_key: str | None,
        cache_note: CacheNote = NO_CACHE_NOTE,
    ) -> None:
        self.kept.append(cache_note)
        self.finished.append(outcome)
        self._settle(outcome.calls, reservation)
        if cache_key and outcome.state == "done":
            self.answers[cache_key] = CachedAnswer(turn.id, outcome.answer, outcome.citations, NOON)

    async def hand_back(
        self, turn: Turn, lease: Lease, calls: Sequence[Call], *, reservation: Reservation | None
    ) -> None:
        self.handed_back.append(calls)
        self._settle(calls, reservation)


@dataclass
class FakeSettings:
    """One channel's settings and the granted admins."""

    channel: ChannelSettings = ChannelSettings()
    made_admins: tuple[str, ...] = ()

    async def channel_settings(self, thread: ThreadKey) -> ChannelSettings:
        return self.channel

    async def admins(self, tenant_id: str) -> tuple[str, ...]:
        return self.made_admins


@dataclass
class FakeAttachments:
    """The stored attachments of one turn."""

    attached: list[StoredAttachment] = field(default_factory=list)

    async def keep_attachment(self, turn: Turn, attached: StoredAttachment) -> None:
        self.attached = [one for one in self.attached if one.position != attached.position] + [attached]


@dataclass
class FakeConversation(FakeBudgets, FakeSettings, FakeAttachments):
    """The history of one thread."""

    past: History = History("", 0, ())
    summaries: list[tuple[str, int]] = field(default_factory=list)
    quoted: list[VerifiedFact] = field(default_factory=list)

    async def turn_record(self, turn: Turn) -> TurnRecord:
        states = await self.budgets("", "", turn.author)
        return TurnRecord(self.channel, await self.history(turn), states, tuple(self.attached))

    async def history(self, turn: Turn) -> History:
        return self.past

    async def summarize(
        self,
        turn: Turn,
        *,
        since: int,
        due: Sequence[PastMessage],
        summary: str,
        quoted: Sequence[VerifiedFact] = (),
    ) -> bool:
        self.summaries.append((summary, due[-1].seq))
        self.quoted += quoted
        return True

    async def rate(self, turn: Turn, by: Author, value: int, reason: str) -> None:
        return None

    async def withdraw_rating(self, turn: Turn, by: Author, value: int) -> None:
        return None


@dataclass
class FakeRetractions(FakeParts):
    """Deleted questions of one turn."""

    lost: bool = False
    forgotten: bool = False

    async def forget(self, turn: Turn) -> None:
        self.lost = self.forgotten = True

    async def is_forgotten(self, turn: Turn) -> bool:
        return self.forgotten

    async def withdrawn(self, platform: Platform, *, known: Collection[str] = (), most: int = 20) -> Sequence[Turn]:
        return ()

    async def mark_removed(self, turn: Turn) -> bool:
        self.parts.clear()
        return True

    async def offer_part(self, turn: Turn, index: int, ref: str) -> str | None:
        return None if self.forgotten else self._record(index, ref)


@dataclass
class FakeLateReplies:
    """No late replies to claim; what becomes of a reply that is stored and not shown yet."""

    postponed: list[float | None] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)

    async def claim(
        self, platform: Platform, *, known: Collection[str] = (), most: int = 8, suspects: bool = True
    ) -> LateReplies:
        return LateReplies()

    async def postpone(self, turn: Turn, lease: Lease, *, wait: float | None) -> None:
        self.postponed.append(wait)

    async def end(self, turn: Turn, lease: Lease, *, note: str = "", total_ms: float | None = None) -> None:
        self.ended.append(note)

    async def hurry(self, turn: Turn) -> bool:
        return False


@dataclass
class FakeStores(FakeInbox, FakeQueue, FakeLeases, FakeConversation, FakeRetractions, FakeLateReplies):
    """Every storage port for one turn in one object, so that a test sees and changes all of its state."""

    @property
    def stores(self) -> Stores:
        """The ports, all of them this object."""
        return Stores(self, self, self, self, self, self, self, self, self, self)


Sleep = Callable[[float], Awaitable[None]]
