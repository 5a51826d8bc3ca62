"""Turns and leases driven at random against the real Postgres: whatever happens in whatever order, these things hold.

At most one turn of a thread runs, and it is the oldest; a fence only grows; a write of an old holder changes nothing;
a turn that ended never changes; nothing that was accepted is lost; what is set aside is set aside for turns that run.

``PARLEY_STEPS=100000 pytest tests/chaos/test_turn_machine.py`` is the long run.
"""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from sqlalchemy import text

from bot.config import Settings
from bot.errors import LeaseLost
from bot.store.session import Database
from bot.store.store import PostgresStore
from bot.types import Author, Call, Incoming, Lease, Outcome, Reservation, ThreadKey, Turn, TurnState, Usage

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
STEPS = int(os.environ.get("PARLEY_STEPS", "300"))
STEPS_AT_ONCE = 50
THREADS = 3
RESERVED, USED = 500, 120
ENDS: tuple[TurnState, ...] = ("done", "refused", "failed", "cancelled")

Result = TypeVar("Result")
number = st.integers(0, 10**6)


@dataclass
class Held:
    """A right to write that was once given, and what its holder has set aside."""

    turn: Known
    lease: Lease
    reservation: Reservation | None = None


@dataclass
class Known:
    """What must be so of one turn."""

    turn: Turn
    thread: int
    state: TurnState = "queued"
    fence: int = 0
    lapsed: bool = False
    parts: dict[int, str] = field(default_factory=dict)
    reserved: Reservation | None = None
    row: Any = None
    """The stored row since it ended."""

    @property
    def ended(self) -> bool:
        return self.state not in ("queued", "running")


class TurnMachine(RuleBasedStateMachine):
    """One tenant with a few threads, several processes, and every message delivered as often as it likes."""

    def __init__(self, run: Callable[[Awaitable[Any]], Any], database: Database) -> None:
        super().__init__()
        self._run = run
        self._database = database
        made = Settings(_env_file=None, daily_tokens=0)
        self._store = PostgresStore(database, made, count_tokens=len, clock=lambda: NOW)
        self._tenant = f"slack:{uuid.uuid4().hex}"
        self._known: list[Known] = []
        self._held: list[Held] = []

    def teardown(self) -> None:
        self._sql("DELETE FROM turns WHERE tenant_id = :tenant")

    # --- what platforms do

    @precondition(lambda self: len(self._known) < 12)
    @rule(thread=st.integers(0, THREADS - 1), copies=st.integers(1, 4))
    def accept(self, thread: int, copies: int) -> None:
        """A message comes, in several copies at once."""
        message = self._incoming(thread, f"m{len(self._known)}")

        async def arrive() -> list[Turn | None]:
            return list(await asyncio.gather(*(self._store.accept(message) for _ in range(copies))))

        (turn,) = [found for found in self._run(arrive()) if found is not None]
        self._known.append(Known(turn, thread))

    @precondition(lambda self: self._known)
    @rule(which=number)
    def accept_again(self, which: int) -> None:
        """A message comes once more, whatever has become of it."""
        known = self._pick(self._known, which)
        assert self._run(self._store.accept(self._incoming(known.thread, known.turn.message_id))) is None

    # --- what processes do

    @precondition(lambda self: self._known)
    @rule(which=number, at_once=st.integers(1, 3))
    def lease(self, which: int, at_once: int) -> None:
        """Processes reach for a turn, all at once; one gets it, or none."""
        known = self._pick(self._known, which)

        async def reach() -> list[Lease | BaseException | None]:
            reaching = (self._store.lease(known.turn) for _ in range(at_once))
            return list(await asyncio.gather(*reaching, return_exceptions=True))

        found = self._run(reach())
        if known.ended:
            assert all(isinstance(one, LeaseLost) for one in found)
            return
        leases = [one for one in found if isinstance(one, Lease)]
        assert all(one is None for one in found if not isinstance(one, Lease))
        if not self._is_free(known):
            assert leases == []
            return
        (lease,) = leases
        assert lease.fence == known.fence + 1
        known.state, known.fence, known.lapsed, known.reserved = "running", lease.fence, False, None
        self._held.append(Held(known, lease))

    @precondition(lambda self: self._held)
    @rule(which=number)
    def renew(self, which: int) -> None:
        """A holder, or one that was, prolongs its lease."""
        held = self._pick(self._held, which)
        if self._write(held, self._store.renew(held.turn.turn, held.lease)):
            held.turn.lapsed = False

    @precondition(lambda self: self._held)
    @rule(which=number, index=st.integers(0, 2), posted=st.booleans())
    def record_part(self, which: int, index: int, posted: bool) -> None:
        """A holder records a message before it is posted, and after."""
        held = self._pick(self._held, which)
        ref = f"{held.lease.fence}.{index}" if posted else None
        if self._write(held, self._store.record_part(held.turn.turn, held.lease, index, ref)):
            held.turn.lapsed = False
            if ref is not None:
                held.turn.parts[index] = ref

    @precondition(lambda self: self._held)
    @rule(which=number)
    def reserve(self, which: int) -> None:
        """The holder sets tokens aside, once."""
        held = self._pick(self._held, which)
        if self._holds(held) and held.turn.reserved is None:
            held.reservation = held.turn.reserved = self._run(self._store.reserve(held.turn.turn, RESERVED))

    @precondition(lambda self: self._held)
    @rule(which=number, state=st.sampled_from(ENDS))
    def finish(self, which: int, state: TurnState) -> None:
        """A holder, or one that was, says how it ended. Its call is paid for in any case."""
        held = self._pick(self._held, which)
        turn = held.turn.turn
        outcome = Outcome(turn.id, turn.thread, state, answer="Thirty.", calls=(_call(),), refused=None)
        work = self._store.finish(turn, held.lease, outcome, reservation=held.reservation, cache_key=None)
        if self._write(held, work):
            held.turn.state, held.turn.reserved, held.turn.lapsed = state, None, False
            held.turn.row = self._row(held.turn)

    @precondition(lambda self: self._held)
    @rule(which=number)
    def hand_back(self, which: int) -> None:
        """A holder puts its turn back, at a shutdown."""
        held = self._pick(self._held, which)
        work = self._store.hand_back(held.turn.turn, held.lease, (), reservation=held.reservation)
        if self._write(held, work):
            held.turn.state, held.turn.lapsed, held.turn.reserved = "queued", False, None

    # --- what goes wrong

    @precondition(lambda self: any(known.state == "running" for known in self._known))
    @rule(which=number)
    def fall_silent(self, which: int) -> None:
        """A process dies, or is too slow to renew: its lease lapses."""
        known = self._pick([known for known in self._known if known.state == "running"], which)
        self._sql(
            "UPDATE turns SET lease_until = now() - interval '1 second' WHERE tenant_id = :tenant AND turn_id = :turn",
            turn=uuid.UUID(known.turn.id),
        )
        known.lapsed = True

    @rule()
    def look_for_what_is_left(self) -> None:
        """What nobody holds is found, and what somebody holds is not."""
        found = {turn.id for turn in self._run(self._store.unfinished("slack"))}
        for known in self._known:
            if known.state == "running":
                assert (known.turn.id in found) == known.lapsed
            elif known.ended:
                assert known.turn.id not in found

    # --- what always holds

    @invariant()
    def the_store_agrees(self) -> None:
        rows = self._sql("SELECT * FROM turns WHERE tenant_id = :tenant ORDER BY seq")
        assert [str(row.turn_id) for row in rows] == [known.turn.id for known in self._known], "one was lost"
        running = [row.thread_uid for row in rows if row.state == "running"]
        assert len(running) == len(set(running)), "two turns of a thread run at once"
        for row, known in zip(rows, self._known, strict=True):
            assert (row.state, row.fence) == (known.state, known.fence)
            if known.ended:
                assert row == known.row, "a turn changed after its end"
        self._in_order(rows)

    @invariant()
    def what_was_shown_is_known(self) -> None:
        rows = self._sql("SELECT turn_id, part, ref FROM reply_parts WHERE tenant_id = :tenant AND ref IS NOT NULL")
        stored = {(str(row.turn_id), row.part): row.ref for row in rows}
        assert stored == {(one.turn.id, at): ref for one in self._known for at, ref in one.parts.items()}

    @invariant()
    def only_running_turns_have_tokens_set_aside(self) -> None:
        rows = self._sql("SELECT subject, reserved FROM budget_days WHERE tenant_id = :tenant AND subject = 'tenant'")
        expected = sum(RESERVED for known in self._known if known.reserved is not None)
        assert sum(row.reserved for row in rows) == expected

    # --- the means

    def _in_order(self, rows: Sequence[Any]) -> None:
        for thread in range(THREADS):
            states = [row.state for row, known in zip(rows, self._known, strict=True) if known.thread == thread]
            begun = [state for state in states if state != "queued"]
            ended = [state for state in begun if state != "running"]
            assert states[: len(ended)] == ended, "a later question was answered before an earlier one"

    def _is_free(self, known: Known) -> bool:
        before = self._known[: self._known.index(known)]
        first = all(earlier.ended for earlier in before if earlier.thread == known.thread)
        return first and (known.state == "queued" or known.lapsed)

    def _holds(self, held: Held) -> bool:
        return held.turn.state == "running" and held.turn.fence == held.lease.fence

    def _write(self, held: Held, work: Awaitable[None]) -> bool:
        """Whether the write counted; it counts exactly where its fence is the one in force."""
        try:
            self._run(work)
        except LeaseLost:
            assert not self._holds(held), "the holder was turned away"
            return False
        assert self._holds(held), "an old holder wrote"
        return True

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

    def _sql(self, statement: str, **values: object) -> list[Any]:
        async def execute() -> list[Any]:
            async with self._database.engine.begin() as connection:
                found = await connection.execute(text(statement), {"tenant": self._tenant, **values})
                return list(found) if found.returns_rows else []

        return list(self._run(execute()))


def _call() -> Call:
    usage = Usage(input_tokens=USED - 20, completion_tokens=20)
    return Call("answer", "anthropic", "claude-haiku-5-5", "cheap", usage, Decimal("0.001"), "t", "ok", 5.0)


@pytest.mark.timeout(0 if STEPS > 300 else 120)
def test_turns_and_leases_hold_whatever_happens(database_url: str) -> None:
    with asyncio.Runner() as runner:
        database = Database(database_url)
        try:
            run_state_machine_as_test(
                lambda: TurnMachine(runner.run, database),  # type: ignore[arg-type]
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
