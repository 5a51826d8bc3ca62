"""Drives turns and leases at random against a real Postgres and checks their invariants.

At most one turn of a thread runs, and it is the oldest. A fence only grows. A write with an old fence changes nothing.
A turn that ended changes only when its question does. No accepted turn is lost. Turns of a dead process are free for
the others, and no other turns are. Tokens are reserved only for turns that run or wait.

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
from bot.store.database.process_liveness import LOCKS, Evidence
from bot.store.database.session import Database
from bot.store.stores import open_stores
from bot.store.turns.turns import ANYBODY
from bot.types.audience import MEMBERS
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
class GrantedLease:
    """A lease that was once granted, with the reservation of its holder."""

    turn: ExpectedTurn
    lease: Lease
    process: int
    reservation: Reservation | None = None


@dataclass
class ExpectedTurn:
    """The expected state of a turn. ``holder`` is the number of a process, or ANYBODY."""

    turn: Turn
    thread: int
    holder: int
    state: TurnState = "queued"
    fence: int = 0
    expired: bool = False
    stopping: bool = False
    parts: dict[int, str] = field(default_factory=dict)
    reserved_ahead: int = EXPECTED
    """Tokens that are reserved for it since it was accepted or edited."""
    reserved: Reservation | None = None
    takeovers: int = 0
    row: Any = None
    """The stored row since the turn ended."""

    @property
    def ended(self) -> bool:
        return self.state not in ("queued", "running")


class TurnMachine(RuleBasedStateMachine):
    """One tenant with a few threads, several processes that die, and messages that are delivered repeatedly."""

    def __init__(
        self, run: Callable[[Awaitable[Any]], Any], database: Database, lock_connection: psycopg.Connection[Any]
    ) -> None:
        super().__init__()
        self._run = run
        self._database = database
        self._lock_connection = lock_connection
        self._tenant = f"slack:{uuid.uuid4().hex}"
        self._turns: list[ExpectedTurn] = []
        self._leases: list[GrantedLease] = []
        self._processes: list[int] = []
        for _ in range(PROCESSES):
            self._start_process()

    def teardown(self) -> None:
        self._sql("DELETE FROM turns WHERE tenant_id = :tenant")
        for process in self._processes:
            self._lock_connection.execute("SELECT pg_advisory_unlock(%s, %s)", (LOCKS, process))

    # --- what platforms do

    @precondition(lambda self: len(self._turns) < 12)
    @rule(thread=st.integers(0, THREADS - 1), copies=st.integers(1, 4), which=number)
    def accept(self, thread: int, copies: int, which: int) -> None:
        """A message arrives, in several copies at once."""
        message, process = self._incoming(thread, f"m{len(self._turns)}"), self._process(which)
        found = self._concurrently([self._stores(process).inbox.accept(message) for _ in range(copies)])
        (turn,) = [one for one in found if one is not None]
        assert isinstance(turn, Turn)
        self._turns.append(ExpectedTurn(turn, thread, process))

    @precondition(lambda self: self._turns)
    @rule(which=number)
    def accept_again(self, which: int) -> None:
        """A message arrives again, whatever state its turn is in."""
        record = self._pick(self._turns, which)
        message = self._incoming(record.thread, record.turn.message_id)
        assert self._run(self._stores(self._process(which)).inbox.accept(message)) is None

    @precondition(lambda self: self._turns)
    @rule(which=number, wording=st.integers(1, 3))
    def edit(self, which: int, wording: int) -> None:
        """A question is edited, whatever state its turn is in: it is asked again, in its old place."""
        record, process = self._pick(self._turns, which), self._process(which)
        question = f"What of wording {wording}?"
        edited = self._run(self._stores(process).inbox.replace_question(record.turn, question, MEMBERS))
        assert (edited is None) == (record.turn.question in ("", question)), "what was deleted does not come back"
        if edited is not None:
            record.turn, record.state, record.holder, record.fence = (
                edited,
                "queued",
                process,
                record.fence + 1,
            )
            record.expired = record.stopping = False
            record.row = None
            record.takeovers, record.reserved_ahead, record.reserved = 0, EXPECTED, None

    @precondition(lambda self: self._turns)
    @rule(which=number)
    def stop(self, which: int) -> None:
        """A user stops a turn, wherever it runs."""
        record = self._pick(self._turns, which)
        asked = self._run(self._stores(self._process(which)).queue.ask_to_stop(record.turn))
        assert asked == (not record.ended)
        record.stopping = record.stopping or asked

    @precondition(lambda self: self._turns)
    @rule(which=number)
    def delete(self, which: int) -> None:
        """A question is deleted: its turn ends and nothing of it is kept."""
        record = self._pick(self._turns, which)
        self._run(self._stores(self._process(which)).retractions.forget(record.turn))
        record.state, record.fence, record.expired = "cancelled", record.fence + 1, False
        record.turn = replace(record.turn, question="")
        record.row = self._row(record)
        record.reserved_ahead, record.reserved = 0, None

    # --- what processes do

    @precondition(lambda self: self._turns)
    @rule(which=number, reaching=st.sets(st.integers(0, PROCESSES - 1), min_size=1))
    def lease(self, which: int, reaching: set[int]) -> None:
        """Several processes try to lease a turn at once; one gets it, or none."""
        record = self._pick(self._turns, which)
        processes = [self._processes[at] for at in sorted(reaching)]
        found = self._concurrently([self._stores(process).leases.lease(record.turn) for process in processes])
        if record.ended:
            assert all(isinstance(one, LeaseLost) for one in found)
            return
        leases = [(one, process) for one, process in zip(found, processes, strict=True) if isinstance(one, Lease)]
        assert all(one is None for one in found if not isinstance(one, Lease))
        if not any(self._is_free(record, process) for process in processes):
            assert leases == []
            return
        ((lease, process),) = leases
        assert self._is_free(record, process)
        assert (lease.fence, lease.stopping) == (record.fence + 1, record.stopping)
        if lease.fence > 1:
            record.reserved_ahead, record.reserved = 0, None
        record.takeovers += record.state == "running" and record.holder != process
        record.state, record.fence, record.expired, record.holder = (
            "running",
            lease.fence,
            False,
            process,
        )
        self._leases.append(GrantedLease(record, lease, process))

    @precondition(lambda self: self._turns)
    @rule(which=number)
    def hold(self, which: int) -> None:
        """A process keeps a queued turn for itself, because it has asked its user to wait."""
        record, process = self._pick(self._turns, which), self._process(which)
        granted = self._run(self._stores(process).queue.hold(record.turn))
        assert granted == (record.state == "queued" and record.holder in (ANYBODY, process))
        record.holder = process if granted else record.holder

    @precondition(lambda self: self._turns)
    @rule(which=number)
    def release(self, which: int) -> None:
        """A process releases a queued turn to any process, at a shutdown."""
        record, process = self._pick(self._turns, which), self._process(which)
        self._run(self._stores(process).queue.release(record.turn))
        if record.state == "queued" and record.holder == process:
            record.holder = ANYBODY

    @rule(which=number)
    def renew(self, which: int) -> None:
        """A current or former holder renews its lease."""
        granted = self._pick_lease(which)
        if granted is None:
            return
        if self._write(granted, self._stores(granted.process).leases.renew(granted.turn.turn, granted.lease)):
            granted.turn.expired = False

    @rule(which=number, index=st.integers(0, 2), posted=st.booleans())
    def record_part(self, which: int, index: int, posted: bool) -> None:
        """A holder records a message before and after it is posted; a recorded reference stays."""
        granted = self._pick_lease(which)
        if granted is None:
            return
        ref = f"{granted.lease.fence}.{index}" if posted else None
        stores = self._stores(granted.process)
        if self._write(granted, stores.leases.record_part(granted.turn.turn, granted.lease, index, ref)):
            granted.turn.expired = False
            if ref is not None:
                granted.turn.parts.setdefault(index, ref)

    @rule(which=number)
    def reserve(self, which: int) -> None:
        """The holder reserves tokens, once."""
        granted = self._pick_lease(which)
        if granted is None:
            return
        if self._is_current(granted) and granted.turn.reserved is None:
            reserving = self._stores(granted.process).budgets.reserve(granted.turn.turn, RESERVED)
            granted.reservation = granted.turn.reserved = self._run(reserving)

    @rule(which=number, state=st.sampled_from(ENDS))
    def finish(self, which: int, state: TurnState) -> None:
        """A current or former holder finishes its turn. Its call is billed in any case."""
        granted = self._pick_lease(which)
        if granted is None:
            return
        turn = granted.turn.turn
        outcome = Outcome(turn.id, turn.thread, state, answer="Thirty.", calls=(_call(),), refused=None)
        stores = self._stores(granted.process)
        work = stores.leases.finish(turn, granted.lease, outcome, reservation=granted.reservation, cache_key=None)
        ended = self._write(granted, work)
        self._release_reservations(granted, all_reservations=ended)
        if ended:
            granted.turn.state, granted.turn.expired, granted.turn.stopping = state, False, False
            granted.turn.row = self._row(granted.turn)

    @rule(which=number)
    def hand_back(self, which: int) -> None:
        """A holder returns its turn to the queue, at a shutdown."""
        granted = self._pick_lease(which)
        if granted is None:
            return
        stores = self._stores(granted.process)
        if self._write(
            granted, stores.leases.hand_back(granted.turn.turn, granted.lease, (), reservation=granted.reservation)
        ):
            self._release_reservations(granted, all_reservations=True)
            granted.turn.state, granted.turn.expired, granted.turn.holder = "queued", False, ANYBODY

    # --- what goes wrong

    @rule(which=number)
    def expire_lease(self, which: int) -> None:
        """A process is too slow to renew, and its lease expires."""
        running = [record for record in self._turns if record.state == "running"]
        if not running:
            return
        record = self._pick(running, which)
        self._sql(
            "UPDATE turns SET lease_until = now() - interval '1 second' WHERE tenant_id = :tenant AND turn_id = :turn",
            turn=uuid.UUID(record.turn.id),
        )
        record.expired = True

    @rule(which=number)
    def die(self, which: int) -> None:
        """A process dies and is replaced; another one looks for orphaned turns and frees those of the dead process."""
        dead = self._process(which)
        self._processes.remove(dead)
        self._lock_connection.execute("SELECT pg_advisory_unlock(%s, %s)", (LOCKS, dead))
        self._leases = [granted for granted in self._leases if granted.process != dead]
        of_dead = [record for record in self._turns if record.holder == dead and not record.ended]
        were_running = [record for record in of_dead if record.state == "running"]
        suspects = [record for record in were_running if is_suspect(record.takeovers)]
        for record in were_running:
            record.fence, record.takeovers = (
                record.fence + 1,
                record.takeovers + (record in suspects or not suspects),
            )
        for record in of_dead:
            record.state, record.holder, record.expired = "queued", ANYBODY, False
        self._check_ready_turns(self._processes[0])
        self._start_process()

    @rule(which=number)
    def look_for_orphaned_turns(self, which: int) -> None:
        """A process finds the turns that it may run, the first of each thread, and nothing else; it keeps those that
        wait."""
        self._check_ready_turns(self._process(which))

    # --- invariants

    @invariant()
    def the_store_has_the_expected_turns(self) -> None:
        rows = self._sql("SELECT * FROM turns WHERE tenant_id = :tenant ORDER BY seq")
        assert [str(row.turn_id) for row in rows] == [record.turn.id for record in self._turns], "one was lost"
        running = [row.thread_uid for row in rows if row.state == "running"]
        assert len(running) == len(set(running)), "two turns of a thread run at once"
        for row, record in zip(rows, self._turns, strict=True):
            assert (row.state, row.fence) == (record.state, record.fence)
            assert record.ended or (row.holder, row.stopping) == (record.holder, record.stopping)
            if record.ended:
                assert _without_holder(row) == _without_holder(record.row), "a turn changed after its end"

    @invariant()
    def recorded_messages_are_stored(self) -> None:
        rows = self._sql("SELECT turn_id, part, ref FROM reply_parts WHERE tenant_id = :tenant AND ref IS NOT NULL")
        stored = {(str(row.turn_id), row.part): row.ref for row in rows}
        assert stored == {(one.turn.id, at): ref for one in self._turns for at, ref in one.parts.items()}

    @invariant()
    def reserved_tokens_equal_the_turns_reservations(self) -> None:
        rows = self._sql("SELECT subject, reserved FROM budget_days WHERE tenant_id = :tenant AND subject = 'tenant'")
        expected = sum(record.reserved_ahead + RESERVED * (record.reserved is not None) for record in self._turns)
        assert sum(row.reserved for row in rows) == expected

    # --- helper functions

    def _start_process(self) -> None:
        process = self._sql("SELECT (random() * 2000000000)::int + 1 AS number")[0].number
        self._lock_connection.execute("SELECT pg_advisory_lock(%s, %s)", (LOCKS, process))
        self._processes.append(process)

    def _process(self, which: int) -> int:
        return self._pick(self._processes, which)

    def _stores(self, process: int) -> Stores:
        app_settings = Settings(_env_file=None, daily_tokens=0)
        return open_stores(
            self._database,
            app_settings,
            count_tokens=len,
            clock=lambda: NOW,
            holder=lambda: process,
            evidence=lambda: Evidence(settling=0.0),
            expected=lambda _: EXPECTED,
        )

    def _concurrently(self, work: Sequence[Awaitable[Any]]) -> list[Any]:
        async def gathered() -> list[Any]:
            return list(await asyncio.gather(*work, return_exceptions=True))

        return list(self._run(gathered()))

    def _release_reservations(self, granted: GrantedLease, *, all_reservations: bool) -> None:
        """Update the expected reservations: a holder's own one is released in any case, all of them if it still held
        the turn."""
        if all_reservations or granted.turn.reserved is granted.reservation:
            granted.turn.reserved = None
        granted.turn.reserved_ahead = 0 if all_reservations else granted.turn.reserved_ahead

    def _is_next(self, record: ExpectedTurn, process: int) -> bool:
        """Return whether a process may run the turn: it is the oldest open turn of its thread, and no other process
        holds it."""
        before = self._turns[: self._turns.index(record)]
        first = all(earlier.ended for earlier in before if earlier.thread == record.thread)
        own = record.holder == process
        return first and (own or (record.holder == ANYBODY if record.state == "queued" else record.expired))

    def _is_free(self, record: ExpectedTurn, process: int) -> bool:
        """Return whether a process can lease the turn now: no later turn runs that started before this question was
        edited."""
        others = [other for other in self._turns if other.thread == record.thread and other is not record]
        return self._is_next(record, process) and all(other.state != "running" for other in others)

    def _is_current(self, granted: GrantedLease) -> bool:
        return granted.turn.state == "running" and granted.turn.fence == granted.lease.fence

    def _write(self, granted: GrantedLease, work: Awaitable[object]) -> bool:
        """Return whether the write took effect; assert that it does so exactly when its fence is current."""
        try:
            self._run(work)
        except LeaseLost:
            assert not self._is_current(granted), "the holder was turned away"
            return False
        assert self._is_current(granted), "an old holder wrote"
        return True

    def _check_ready_turns(self, process: int) -> None:
        found = {turn.id for turn in self._run(self._stores(process).queue.ready_turns("slack"))}
        ready = [record for record in self._turns if not record.ended and self._is_next(record, process)]
        suspects = [record for record in ready if is_suspect(record.takeovers)]
        expected = [record for record in ready if record not in suspects[1:]]
        assert found == {record.turn.id for record in expected}
        for record in expected:
            record.holder = process if record.state == "queued" else record.holder

    def _incoming(self, thread: int, message: str) -> Incoming:
        key = ThreadKey(self._tenant, "slack", "C1", f"t{thread}")
        return Incoming(key, message, Author("U1", "Ann"), f"What of {message}?", "mention", NOW, audience=MEMBERS)

    def _row(self, record: ExpectedTurn) -> Any:
        (row,) = self._sql(
            "SELECT * FROM turns WHERE tenant_id = :tenant AND turn_id = :turn", turn=uuid.UUID(record.turn.id)
        )
        return row

    def _pick(self, among: Sequence[Result], which: int) -> Result:
        return among[which % len(among)]

    def _pick_lease(self, which: int) -> GrantedLease | None:
        """Return one of them, or None. This is no precondition, because which process wins a race differs from run to
        run."""
        return self._pick(self._leases, which) if self._leases else None

    def _sql(self, statement: str, **values: object) -> list[Any]:
        async def execute() -> list[Any]:
            async with self._database.tenant(self._tenant) as session:
                found: Any = await session.execute(text(statement), {"tenant": self._tenant, **values})
                return list(found) if found.returns_rows else []

        return list(self._run(execute()))


def _without_holder(row: Any) -> dict[str, Any]:
    """Return a stored row without its holder. The process that deletes the reply of a deleted question may die and
    change."""
    return {name: value for name, value in row._mapping.items() if name != "holder"}


def _call() -> Call:
    usage = Usage(input_tokens=USED - 20, completion_tokens=20)
    return Call("answer", "anthropic", "claude-haiku-5-5", "cheap", usage, Decimal("0.001"), "t", "ok", 5.0)


@pytest.mark.timeout(0 if STEPS > 300 else 300)
def test_turns_and_leases_hold_whatever_happens(database_url: str) -> None:
    with asyncio.Runner() as runner, psycopg.connect(database_url, autocommit=True) as lock_connection:
        database = Database(database_url)
        try:
            run_state_machine_as_test(
                lambda: TurnMachine(runner.run, database, lock_connection),  # type: ignore[arg-type]
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
