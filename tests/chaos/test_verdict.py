"""The checks of the chaos runs: each fault that they must find, in a small handmade scene."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from benchmarks.chaos.checks import Books, Shown, Verdict, judge, judge_orphans, left_by_the_dead
from benchmarks.chaos.process_pool import Interrupted, Process
from benchmarks.chaos.simulated_users import Question
from benchmarks.chaos.worker import Spec
from bot.platforms.slack.user_messages import NOT_STORED
from tests.doubles.models import Billed, ModelDouble
from tests.doubles.models_billing import Metered
from tests.doubles.slack_world import Message


def asked(number: int, thread: str = "C1/1") -> Question:
    message = Message("C1", str(number), "U1", [])
    return Question(f"Q{number:06}", "slack", thread, "C1", str(number), 10.0 * number, message)


def turn(number: int, **more: Any) -> Any:
    row = {"message_id": str(number), "turn_id": f"t{number}", "state": "done", "seq": number, "refused": None}
    return SimpleNamespace(**{**row, **more})


def answer(number: int, *sentences: int, of: int = 2, order: int = 0, **more: Any) -> Shown:
    text = "\n".join(f"Q{number:06} s{at} of {of}: thirty days." for at in sentences)
    shown = Shown("slack", "C1/1", order or number, text, draft=False, at=10.0 * number + 5)
    return replace(shown, **more)


def verdict_of(questions: Sequence[Question], shown: Sequence[Shown], turns: Sequence[Any], **books: Any) -> Verdict:
    kept = Books(**{"turns": turns, "ledger": [], "reserved": 0, **books})
    return judge(questions, shown, kept, ModelDouble())


def failures(verdict: Verdict) -> dict[str, int]:
    return {name: count for name, count in verdict.failures.items() if count}


def test_all_is_well() -> None:
    seen = verdict_of([asked(1), asked(2)], [answer(1, 1, 2), answer(2, 1, 2)], [turn(1), turn(2)])
    assert failures(seen) == {}
    assert (seen.answered, seen.delays) == (2, [5.0, 5.0])


def test_an_answer_in_parts_is_one_answer() -> None:
    parts = [answer(1, 1, order=1), answer(1, 2, order=2)]
    assert failures(verdict_of([asked(1)], parts, [turn(1)])) == {}


def test_a_question_without_answer_is_lost_unless_it_was_refused() -> None:
    assert failures(verdict_of([asked(1)], [], [turn(1)])) == {"lost": 1}
    assert failures(verdict_of([asked(1)], [], [])) == {"lost": 1}
    reason = Shown("slack", "C1/1", 2, "Too little is left. (Trace ID t1)", draft=False, at=1.0)
    refused = verdict_of([asked(1)], [reason], [turn(1, state="refused", refused="Too little is left.")])
    assert (failures(refused), refused.refused) == ({}, 1)


def test_a_question_that_could_not_be_stored_is_refused_by_one_reply() -> None:
    word = Shown("discord", "C1/C1", 5, "Something went wrong; ask again.", draft=False, at=1.0, reply_to="1")
    assert failures(verdict_of([asked(1)], [word], [])) == {}
    assert failures(verdict_of([asked(1)], [word, replace(word, order=6)], [])) == {"stray messages": 1}


def test_to_be_told_to_wait_is_no_stray() -> None:
    word = Shown("slack", "D1/1", 5, NOT_STORED, draft=False, at=1.0)
    seen = verdict_of([asked(1)], [answer(1, 1, 2), word, replace(word, order=6)], [turn(1)])
    assert (failures(seen), seen.told_again) == ({}, 1)


def test_what_is_said_twice_or_torn_is_seen() -> None:
    twice = [answer(1, 1, 2), answer(1, 1, 2, order=9)]
    assert failures(verdict_of([asked(1)], twice, [turn(1)])) == {"answered twice": 1}
    assert failures(verdict_of([asked(1)], [answer(1, 2)], [turn(1)])) == {"torn answers": 1}


def test_a_later_question_answered_first_is_seen_where_it_was_accepted_later() -> None:
    both, shown = [asked(1), asked(2)], [answer(1, 1, 2, order=8), answer(2, 1, 2, order=7)]
    assert failures(verdict_of(both, shown, [turn(1), turn(2)])) == {"out of order": 1}
    assert failures(verdict_of(both, shown, [turn(1, seq=3), turn(2)])) == {}
    anew = [replace(both[0], tag="Q900001", changed_from="Q000001"), both[1]]
    edited = [replace(answer(1, order=1), text="Q900001 s1 of 1: thirty days.", at=99.0), answer(2, 1, 2)]
    assert failures(verdict_of(anew, edited, [turn(1), turn(2)])) == {}, "answered anew in its old place"
    apart = [asked(1), asked(2, thread="C1/2")]
    assert failures(verdict_of(apart, shown, [turn(1), turn(2)])) == {}


def test_what_was_changed_or_deleted_has_no_answer_standing() -> None:
    changed = replace(asked(1), tag="Q000002", changed_from="Q000001")
    assert failures(verdict_of([changed], [answer(2, 1, 2)], [turn(1)])) == {}
    both = [answer(1, 1, 2), answer(2, 1, 2)]
    assert failures(verdict_of([changed], both, [turn(1)])) == {"answers to what was changed or deleted": 1}
    gone = replace(asked(1), withdrawn=True)
    assert failures(verdict_of([gone], [], [])) == {}
    assert failures(verdict_of([gone], both, [])) == {"answers to what was changed or deleted": 1}


def test_drafts_and_strays_are_seen() -> None:
    draft = Shown("slack", "C1/1", 5, "Looking…", draft=True, at=1.0)
    stray = replace(draft, text="Something", draft=False)
    seen = verdict_of([asked(1)], [answer(1, 1, 2), draft, stray], [turn(1)])
    assert failures(seen) == {"drafts left standing": 1, "stray messages": 1}


def test_open_turns_and_reservations_are_seen() -> None:
    seen = verdict_of([asked(1)], [answer(1, 1, 2)], [turn(1, state="running")], reserved=500)
    assert failures(seen) == {"turns unfinished": 1, "tokens still reserved": 500}


def test_a_call_that_was_billed_needs_a_row_of_its_own_or_an_estimate() -> None:
    models = ModelDouble()
    models.bill = [Billed("anthropic", "m", Metered(10, 0, 0, 0), 5, None, True, at) for at in range(3)]
    exact, estimate = ("anthropic", "m", 10, 0, 0, 0, 5, False, False), ("anthropic", "m", 9, 0, 0, 0, 0, False, True)

    def unbilled(*rows: tuple[object, ...]) -> tuple[int, int]:
        seen = judge([], [], Books([], [Row(row) for row in rows], 0), models)
        return seen.unbilled, seen.unexplained

    assert unbilled(exact, exact, exact) == (0, 0)
    assert unbilled(exact, exact, estimate) == (1, 0)
    assert unbilled(exact, exact) == (1, 1)
    still_open = Row((*estimate[:-2], True, True))
    assert failures(verdict_of([], [], [], ledger=[still_open])) == {"calls still open in the ledger": 1}


class Row(tuple[object, ...]):
    """A row of the ledger, as the query gives it."""

    @property
    def estimated(self) -> bool:
        return bool(self[-1])

    @property
    def under_way(self) -> bool:
        return bool(self[-2])


def process(name: str, *, ready: float, gone: float = 0.0) -> Process:
    return Process(1, Spec(name, ("slack",), {}, "log"), ready, ready_at=ready, gone_at=gone)


def orphans(taken: float, back: float, *, outages: Sequence[tuple[float, float]] = ()) -> tuple[int, int]:
    dead = process("w1", ready=1.0, gone=100.0)
    left = Interrupted("t1", dead, at=100.0, fence=1, taken_at=taken)
    seen = Verdict()
    judge_orphans(seen, [left], [dead, process("w1", ready=back)], outages, now=300.0)
    return seen.orphans_after_restart, seen.orphans_after_death


def test_a_turn_of_the_dead_has_15_seconds_from_the_restart_and_45_from_the_death() -> None:
    assert orphans(taken=114.0, back=101.0) == (0, 0)
    assert orphans(taken=117.0, back=101.0) == (1, 0)
    assert orphans(taken=140.0, back=150.0) == (0, 0)
    assert orphans(taken=146.0, back=150.0) == (0, 1)
    assert orphans(taken=0.0, back=101.0) == (1, 1)
    assert orphans(taken=120.0, back=101.0, outages=[(102.0, 110.0)]) == (0, 0)


def test_what_a_process_had_ended_before_it_died_waits_for_nobody() -> None:
    dead = process("w1", ready=1.0, gone=100.0)
    left = [Interrupted(f"t{number}", dead, at=100.0, fence=2) for number in (1, 2, 3)]
    rows = [turn(1, fence=2), turn(2, fence=3), turn(3, fence=2, state="running")]
    assert [one.turn_id for one in left_by_the_dead(left, rows)] == ["t2", "t3"]
