"""Property tests of turns and leases with random steps on a real PostgreSQL.

At most one turn of a thread runs, and it is the oldest; a fence only grows; a write of an old holder changes nothing; a
turn that ended changes only where its question does; nothing that was accepted is lost; what a dead process held is
free for the others and nothing else is; what is set aside is set aside for turns that run.

``PARLEY_STEPS=100000 pytest tests/chaos/test_turn_machine.py`` is the long run.
"""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypeVar

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from sqlalchemy import text

from bot.config import Settings
from bot.engine.answer.poison import is_suspect
from bot.engine.ports.stores import Stores
from bot.errors import LeaseLost
from bot.store.processes import LOCKS
from bot.store.session import Database
from bot.store.stores import open_stores
from bot.store.turns import ANYBODY
from bot.types.conversation import Author, Incoming, ThreadKey
from bot.types.turns import Lease, Outcome, Turn, TurnState
from bot.types.usage import Call, Reservation, Usage

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
STEPS = int(os.environ.get("PARLEY_STEPS", "300"))
STEPS_AT_ONCE = 50
THREADS, PROCESSES = 3, 3
EXPECTED, RESERVED, USED = 70, 500, 120
ENDS: tuple[TurnState, ...] = ("done", "refused", "failed", "cancelled")

Result = TypeVar("Result")
Run = Callable[[Awaitable[Any]], Any]
number = st.integers(0, 10**6)


@dataclass
class Held:
    """A lease that was granted, and the tokens that its holder reserved."""

    turn: Known
    lease: Lease
    process: int
    reservation: Reservation | None = None


@dataclass
class Known:
    """The expected state of one turn. ``holder`` is a process's number, or ANYBODY."""

    turn: Turn
    thread: int
    holder: int
    state: TurnState = "queued"
    fence: int = 0
    lapsed: bool = False
    stopping: bool = False
    parts: dict[int, str] = field(default_factory=dict)
    ahead: int = EXPECTED
    """Tokens reserved for it since it was accepted or changed."""
    reserved: Reservation | None = None
    takeovers: int = 0
    row: Any = None
    """Its stored row, once it has ended."""

    @property
    def ended(self) -> bool:
        return self.state not in ("queued", "running")


class TurnMachine(RuleBasedStateMachine):
    """One tenant with a few threads, several processes that may die, and messages that may be delivered repeatedly."""

    def __init__(
        self, run: Callable[[Awaitable[Any]], Any], database: Database, lives: psycopg.Connection[Any]
    ) -> None:
        super().__init__()
        self._run = run
        self._database = database
        self._lives = lives
        self._tenant = f"slack:{uuid.uuid4().hex}"
        self._known: list[Known] = []
        self._held: list[Held] = []
        self._processes: list[int] = []
        for _ in range(PROCESSES):
            self._born()

    def teardown(self) -> None:
        self._sql("DELETE FROM turns WHERE tenant_id = :tenant")
        for process in self._processes:
            self._lives.execute("SELECT pg_advisory_unlock(%s, %s)", (LOCKS, process))

    # --- what platforms do

    @precondition(lambda self: len(self._known) < 12)
    @rule(thread=st.integers(0, THREADS - 1), copies=st.integers(1, 4), which=number)
    def accept(self, thread: int, copies: int, which: int) -> None:
        """Accept a message that arrives in several copies at once."""
        message, process = self._incoming(thread, f"m{len(self._known)}"), self._process(which)
        found = self._at_once([self._stores(process).inbox.accept(message) for _ in range(copies)])
        (turn,) = [one for one in found if one is not None]
        assert isinstance(turn, Turn)
        self._known.append(Known(turn, thread, process))

    @precondition(lambda self: self._known)
    @rule(which=number)
    def accept_again(self, which: int) -> None:
        """Deliver a message again, in any state of its turn."""
        known = self._pick(self._known, which)
        message = self._incoming(known.thread, known.turn.message_id)
        assert self._run(self._stores(self._process(which)).inbox.accept(message)) is None

    @precondition(lambda self: self._known)
    @rule(which=number, wording=st.integers(1, 3))
    def edit(self, which: int, wording: int) -> None:
        """Edit a question in any state of its turn: it is asked again, in its old place."""
        known, process = self._pick(self._known, which), self._process(which)
        question = f"What of wording {wording}?"
        anew = self._run(self._stores(process).inbox.replace_question(known.turn, question))
        assert (anew is None) == (known.turn.question in ("", question)), "what was deleted does not come back"
        if anew is not None:
            known.turn, known.state, known.holder, known.fence = anew, "queued", process, known.fence + 1
            known.lapsed = known.stopping = False
            known.row = None
            known.takeovers, known.ahead, known.reserved = 0, EXPECTED, None

    @precondition(lambda self: self._known)
    @rule(which=number)
    def stop(self, which: int) -> None:
        """Stop a turn, in whatever process it runs."""
        known = self._pick(self._known, which)
        asked = self._run(self._stores(self._process(which)).queue.ask_to_stop(known.turn))
        assert asked == (not known.ended)
        known.stopping = known.stopping or asked

    @precondition(lambda self: self._known)
    @rule(which=number)
    def delete(self, which: int) -> None:
        """Delete a question: its turn ends and nothing of it is kept."""
        known = self._pick(self._known, which)
        self._run(self._stores(self._process(which)).retractions.forget(known.turn))
        known.state, known.fence, known.lapsed = "cancelled", known.fence + 1, False
        known.turn = replace(known.turn, question="")
        known.row = self._row(known)
        known.ahead, known.reserved = 0, None

    # --- what processes do

    @precondition(lambda self: self._known)
    @rule(which=number, reaching=st.sets(st.integers(0, PROCESSES - 1), min_size=1))
    def lease(self, which: int, reaching: set[int]) -> None:
        """Several processes try to lease a turn at once; at most one gets it."""
        known = self._pick(self._known, which)
        processes = [self._processes[at] for at in sorted(reaching)]
        found = self._at_once([self._stores(process).leases.lease(known.turn) for process in processes])
        if known.ended:
            assert all(isinstance(one, LeaseLost) for one in found)
            return
        leases = [(one, process) for one, process in zip(found, processes, strict=True) if isinstance(one, Lease)]
        assert all(one is None for one in found if not isinstance(one, Lease))
        if not any(self._is_free(known, process) for process in processes):
            assert leases == []
            return
        ((lease, process),) = leases
        assert self._is_free(known, process)
        assert (lease.fence, lease.stopping) == (known.fence + 1, known.stopping)
        if lease.fence > 1:
            known.ahead, known.reserved = 0, None
        known.takeovers += known.state == "running" and known.holder != process
        known.state, known.fence, known.lapsed, known.holder = "running", lease.fence, False, process
        self._held.append(Held(known, lease, process))

    @precondition(lambda self: self._known)
    @rule(which=number)
    def hold(self, which: int) -> None:
        """A process holds a queued turn, because it has shown the asker that they must wait."""
        known, process = self._pick(self._known, which), self._process(which)
        held = self._run(self._stores(process).queue.hold(known.turn))
        assert held == (known.state == "queued" and known.holder in (ANYBODY, process))
        known.holder = process if held else known.holder

    @precondition(lambda self: self._known)
    @rule(which=number)
    def release(self, which: int) -> None:
        """A process releases a queued turn for any process, as at a shutdown."""
        known, process = self._pick(self._known, which), self._process(which)
        self._run(self._stores(process).queue.release(known.turn))
        if known.state == "queued" and known.holder == process:
            known.holder = ANYBODY

    @rule(which=number)
    def renew(self, which: int) -> None:
        """A current or former holder renews its lease."""
        held = self._pick_held(which)
        if held is None:
            return
        if self._write(held, self._stores(held.process).leases.renew(held.turn.turn, held.lease)):
            held.turn.lapsed = False

    @rule(which=number, index=st.integers(0, 2), posted=st.booleans())
    def record_part(self, which: int, index: int, posted: bool) -> None:
        """A holder records a message before and after it is posted; an existing reference stays."""
        held = self._pick_held(which)
        if held is None:
            return
        ref = f"{held.lease.fence}.{index}" if posted else None
        stores = self._stores(held.process)
        if self._write(held, stores.leases.record_part(held.turn.turn, held.lease, index, ref)):
            held.turn.lapsed = False
            if ref is not None:
                held.turn.parts.setdefault(index, ref)

    @rule(which=number)
    def reserve(self, which: int) -> None:
        """The holder reserves tokens, once."""
        held = self._pick_held(which)
        if held is None:
            return
        if self._holds(held) and held.turn.reserved is None:
            reserving = self._stores(held.process).budgets.reserve(held.turn.turn, RESERVED)
            held.reservation = held.turn.reserved = self._run(reserving)

    @rule(which=number, state=st.sampled_from(ENDS))
    def finish(self, which: int, state: TurnState) -> None:
        """A current or former holder finishes the turn. Its call is billed in any case."""
        held = self._pick_held(which)
        if held is None:
            return
        turn = held.turn.turn
        outcome = Outcome(turn.id, turn.thread, state, answer="Thirty.", calls=(_call(),), refused=None)
        stores = self._stores(held.process)
        work = stores.leases.finish(turn, held.lease, outcome, reservation=held.reservation, cache_key=None)
        ended = self._write(held, work)
        self._settled(held, all_of_it=ended)
        if ended:
            held.turn.state, held.turn.lapsed, held.turn.stopping = state, False, False
            held.turn.row = self._row(held.turn)

    @rule(which=number)
    def hand_back(self, which: int) -> None:
        """A holder queues its turn again for any process, as at a shutdown."""
        held = self._pick_held(which)
        if held is None:
            return
        stores = self._stores(held.process)
        if self._write(held, stores.leases.hand_back(held.turn.turn, held.lease, (), reservation=held.reservation)):
            self._settled(held, all_of_it=True)
            held.turn.state, held.turn.lapsed, held.turn.holder = "queued", False, ANYBODY

    # --- what goes wrong

    @rule(which=number)
    def fall_silent(self, which: int) -> None:
        """A process is too slow to renew its lease, so the lease expires."""
        running = [known for known in self._known if known.state == "running"]
        if not running:
            return
        known = self._pick(running, which)
        self._sql(
            "UPDATE turns SET lease_until = now() - interval '1 second' WHERE tenant_id = :tenant AND turn_id = :turn",
            turn=uuid.UUID(known.turn.id),
        )
        known.lapsed = True

    @rule(which=number)
    def die(self, which: int) -> None:
        """A process dies and is replaced; a third process frees the turns of the dead one."""
        dead = self._process(which)
        self._processes.remove(dead)
        self._lives.execute("SELECT pg_advisory_unlock(%s, %s)", (LOCKS, dead))
        self._held = [held for held in self._held if held.process != dead]
        theirs = [known for known in self._known if known.holder == dead and not known.ended]
        ran = [known for known in theirs if known.state == "running"]
        suspects = [known for known in ran if is_suspect(known.takeovers)]
        for known in ran:
            known.fence, known.takeovers = known.fence + 1, known.takeovers + (known in suspects or not suspects)
        for known in theirs:
            known.state, known.holder, known.lapsed = "queued", ANYBODY, False
        self._finds(self._processes[0])
        self._born()

    @rule(which=number)
    def look_for_what_is_left(self, which: int) -> None:
        """A process finds exactly the turns that it may run, the first of each thread, and holds the queued ones."""
        self._finds(self._process(which))

    # --- what always holds

    @invariant()
    def the_store_agrees(self) -> None:
        rows = self._sql("SELECT * FROM turns WHERE tenant_id = :tenant ORDER BY seq")
        assert [str(row.turn_id) for row in rows] == [known.turn.id for known in self._known], "one was lost"
        running = [row.thread_uid for row in rows if row.state == "running"]
        assert len(running) == len(set(running)), "two turns of a thread run at once"
        for row, known in zip(rows, self._known, strict=True):
            assert (row.state, row.fence) == (known.state, known.fence)
            assert known.ended or (row.holder, row.stopping) == (known.holder, known.stopping)
            if known.ended:
                assert _but_holder(row) == _but_holder(known.row), "a turn changed after its end"

    @invariant()
    def what_was_shown_is_known(self) -> None:
        rows = self._sql("SELECT turn_id, part, ref FROM reply_parts WHERE tenant_id = :tenant AND ref IS NOT NULL")
        stored = {(str(row.turn_id), row.part): row.ref for row in rows}
        assert stored == {(one.turn.id, at): ref for one in self._known for at, ref in one.parts.items()}

    @invariant()
    def as_many_tokens_are_set_aside_as_turns_hold(self) -> None:
        rows = self._sql("SELECT subject, reserved FROM budget_days WHERE tenant_id = :tenant AND subject = 'tenant'")
        expected = sum(known.ahead + RESERVED * (known.reserved is not None) for known in self._known)
        assert sum(row.reserved for row in rows) == expected

    # --- the means

    def _born(self) -> None:
        process = self._sql("SELECT (random() * 2000000000)::int + 1 AS number")[0].number
        self._lives.execute("SELECT pg_advisory_lock(%s, %s)", (LOCKS, process))
        self._processes.append(process)

    def _process(self, which: int) -> int:
        return self._pick(self._processes, which)

    def _stores(self, process: int) -> Stores:
        made = Settings(_env_file=None, daily_tokens=0)
        return open_stores(
            self._database,
            made,
            count_tokens=len,
            clock=lambda: NOW,
            holder=lambda: process,
            settling=0.0,
            expected=lambda _: EXPECTED,
        )

    def _at_once(self, work: Sequence[Awaitable[Any]]) -> list[Any]:
        async def gathered() -> list[Any]:
            return list(await asyncio.gather(*work, return_exceptions=True))

        return list(self._run(gathered()))

    def _settled(self, held: Held, *, all_of_it: bool) -> None:
        """Check that the holder's reservation was released, whether it still held the turn or not; if it did, check
        that nothing is left.
        """
        if all_of_it or held.turn.reserved is held.reservation:
            held.turn.reserved = None
        held.turn.ahead = 0 if all_of_it else held.turn.ahead

    def _is_next(self, known: Known, process: int) -> bool:
        """Return whether a process may run the turn: it is the oldest open turn of its thread, and no other process
        holds it.
        """
        before = self._known[: self._known.index(known)]
        first = all(earlier.ended for earlier in before if earlier.thread == known.thread)
        own = known.holder == process
        return first and (own or (known.holder == ANYBODY if known.state == "queued" else known.lapsed))

    def _is_free(self, known: Known, process: int) -> bool:
        """Return whether a process gets the turn now: no later turn, started before this one was edited, is running."""
        others = [other for other in self._known if other.thread == known.thread and other is not known]
        return self._is_next(known, process) and all(other.state != "running" for other in others)

    def _holds(self, held: Held) -> bool:
        return held.turn.state == "running" and held.turn.fence == held.lease.fence

    def _write(self, held: Held, work: Awaitable[object]) -> bool:
        """Return whether the write took effect, which it must exactly if its fencing token is the current one."""
        try:
            self._run(work)
        except LeaseLost:
            assert not self._holds(held), "the holder was turned away"
            return False
        assert self._holds(held), "an old holder wrote"
        return True

    def _finds(self, process: int) -> None:
        found = {turn.id for turn in self._run(self._stores(process).queue.ready_turns("slack"))}
        ready = [known for known in self._known if not known.ended and self._is_next(known, process)]
        suspects = [known for known in ready if is_suspect(known.takeovers)]
        expected = [known for known in ready if known not in suspects[1:]]
        assert found == {known.turn.id for known in expected}
        for known in expected:
            known.holder = process if known.state == "queued" else known.holder

    def _incoming(self, thread: int, message: str) -> Incoming:
        key = ThreadKey(self._tenant, "slack", "C1", f"t{thread}")
        return Incoming(key, message, Author("U1", "Ann"), f"What of {message}?", "mention", NOW)

    def _row(self, known: Known) -> Any:
        (row,) = self._sql(
            "SELECT * FROM turns WHERE tenant_id = :tenant AND turn_id = :turn", turn=uuid.UUID(known.turn.id)
        )
        return row

    def _pick(self, among: Sequence[Result], which: int) -> Result:
        return among[which % len(among)]

    def _pick_held(self, which: int) -> Held | None:
        """Return one of the held leases, if there is any.

        This is no precondition, because races have different winners.
        """
        return self._pick(self._held, which) if self._held else None

    def _sql(self, statement: str, **values: object) -> list[Any]:
        async def execute() -> list[Any]:
            async with self._database.engine.begin() as connection:
                found = await connection.execute(text(statement), {"tenant": self._tenant, **values})
                return list(found) if found.returns_rows else []

        return list(self._run(execute()))


def _but_holder(row: Any) -> dict[str, Any]:
    """Return a stored row without the process that removes a deleted question's reply, because that process may die and
    change.
    """
    return {name: value for name, value in row._mapping.items() if name != "holder"}


def _call() -> Call:
    usage = Usage(input_tokens=USED - 20, completion_tokens=20)
    return Call("answer", "anthropic", "claude-haiku-5-5", "cheap", usage, Decimal("0.001"), "t", "ok", 5.0)


@pytest.mark.timeout(0 if STEPS > 300 else 300)
def test_turns_and_leases_hold_whatever_happens(database_url: str) -> None:
    with asyncio.Runner() as runner, psycopg.connect(database_url, autocommit=True) as lives:
        database = Database(database_url)
        try:
            run_state_machine_as_test(
                lambda: TurnMachine(runner.run, database, lives),  # type: ignore[arg-type]
                settings=settings(
                    max_examples=max(1, STEPS // STEPS_AT_ONCE),
                    stateful_step_count=STEPS_AT_ONCE,
                    deadline=None,
                    suppress_health_check=list(HealthCheck),
                    print_blob=True,
                ),
            )
        finally:
            runner.run(database.aclose())
