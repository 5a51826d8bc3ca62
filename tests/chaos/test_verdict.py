"""Tests the checks of the chaos runs: each must detect its fault in a small hand-made case."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from benchmarks.chaos.bot_messages import BotMessage
from benchmarks.chaos.checks import Verdict, judge, judge_orphans, merged, orphaned_turns
from benchmarks.chaos.database_state import DatabaseState
from benchmarks.chaos.process_pool import OrphanedTurn, Process
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
    row |= {"fence": 1, "late": False, "shown_late": False, "withdrawn": False}
    return SimpleNamespace(**{**row, **more})


def answer(number: int, *sentences: int, of: int = 2, order: int = 0, **more: Any) -> BotMessage:
    text = "\n".join(f"Q{number:06} s{at} of {of}: thirty days." for at in sentences)
    shown = BotMessage("slack", "C1/1", order or number, text, draft=False, at=10.0 * number + 5)
    return replace(shown, **more)


def verdict_of(
    questions: Sequence[Question], shown: Sequence[BotMessage], turns: Sequence[Any], **database: Any
) -> Verdict:
    kept = DatabaseState(**{"turns": turns, "ledger": [], "reserved": 0, **database})
    return judge(questions, shown, kept, ModelDouble())


def failures(verdict: Verdict) -> dict[str, int]:
    return {name: count for name, count in verdict.failures.items() if count}


def test_a_run_without_faults_has_no_failures() -> None:
    seen = verdict_of([asked(1), asked(2)], [answer(1, 1, 2), answer(2, 1, 2)], [turn(1), turn(2)])
    assert failures(seen) == {}
    assert (seen.answered, seen.answer_seconds) == (2, [5.0, 5.0])


def test_an_answer_in_parts_is_one_answer() -> None:
    parts = [answer(1, 1, order=1), answer(1, 2, order=2)]
    assert failures(verdict_of([asked(1)], parts, [turn(1)])) == {}


def test_a_question_without_an_answer_is_lost_unless_it_was_refused() -> None:
    assert failures(verdict_of([asked(1)], [], [turn(1)])) == {"lost": 1}
    assert failures(verdict_of([asked(1)], [], [])) == {"lost": 1}
    reason = BotMessage("slack", "C1/1", 2, "Too little is left. (Trace ID t1)", draft=False, at=1.0)
    refused = verdict_of([asked(1)], [reason], [turn(1, state="refused", refused="Too little is left.")])
    assert (failures(refused), refused.refused) == ({}, 1)


def test_a_refusal_that_its_asker_cannot_see_is_a_lost_question() -> None:
    reason = BotMessage("slack", "C1/7", 2, "Too little is left.", draft=False, at=1.0)
    seen = verdict_of([asked(1)], [reason], [turn(1, state="refused", refused="Too little is left.")])
    assert failures(seen) == {"lost": 1}


def test_copies_of_a_message_are_detected_whatever_its_text() -> None:
    reason = BotMessage("slack", "C1/1", 2, "Too little is left.", draft=False, at=1.0, nonce="t1:0")
    row = turn(1, state="refused", refused="Too little is left.")
    assert failures(verdict_of([asked(1)], [reason], [row])) == {}
    assert failures(verdict_of([asked(1)], [reason, replace(reason, order=3)], [row])) == {"messages posted twice": 2}


def test_a_question_that_could_not_be_stored_is_refused_by_one_reply() -> None:
    word = BotMessage("discord", "C1/C1", 5, "Something went wrong; ask again.", draft=False, at=1.0, reply_to="1")
    assert failures(verdict_of([asked(1)], [word], [])) == {}
    assert failures(verdict_of([asked(1)], [word, replace(word, order=6)], [])) == {"stray messages": 1}


def test_a_notice_to_wait_is_not_a_stray_message() -> None:
    word = BotMessage("slack", "D1/1", 5, NOT_STORED, draft=False, at=1.0)
    seen = verdict_of([asked(1)], [answer(1, 1, 2), word, replace(word, order=6)], [turn(1)])
    assert (failures(seen), seen.repeated_notices) == ({}, 1)


def test_repeated_and_incomplete_answers_are_detected() -> None:
    twice = [answer(1, 1, 2), answer(1, 1, 2, order=9)]
    assert failures(verdict_of([asked(1)], twice, [turn(1)])) == {"answered twice": 1}
    assert failures(verdict_of([asked(1)], [answer(1, 2)], [turn(1)])) == {"incomplete answers": 1}


def test_answers_out_of_order_are_detected() -> None:
    both, shown = [asked(1), asked(2)], [answer(1, 1, 2, order=8), answer(2, 1, 2, order=7)]
    assert failures(verdict_of(both, shown, [turn(1), turn(2)])) == {"out of order": 1}
    assert failures(verdict_of(both, shown, [turn(1, seq=3), turn(2)])) == {}
    anew = [replace(both[0], tag="Q900001", edited_from="Q000001"), both[1]]
    edited = [replace(answer(1, order=1), text="Q900001 s1 of 1: thirty days.", at=99.0), answer(2, 1, 2)]
    assert failures(verdict_of(anew, edited, [turn(1), turn(2)])) == {}, "answered anew in its old place"
    apart = [asked(1), asked(2, thread="C1/2")]
    assert failures(verdict_of(apart, shown, [turn(1), turn(2)])) == {}


def test_answers_to_edited_or_deleted_questions_are_detected() -> None:
    changed = replace(asked(1), tag="Q000002", edited_from="Q000001")
    assert failures(verdict_of([changed], [answer(2, 1, 2)], [turn(1)])) == {}
    both = [answer(1, 1, 2), answer(2, 1, 2)]
    assert failures(verdict_of([changed], both, [turn(1)])) == {"answers to edited or deleted questions": 1}
    gone = replace(asked(1), deleted=True)
    assert failures(verdict_of([gone], [], [])) == {}
    assert failures(verdict_of([gone], both, [])) == {"answers to edited or deleted questions": 1}


def test_drafts_and_stray_messages_are_detected() -> None:
    draft = BotMessage("slack", "C1/1", 5, "Looking…", draft=True, at=1.0)
    stray = replace(draft, text="Something", draft=False)
    seen = verdict_of([asked(1)], [answer(1, 1, 2), draft, stray], [turn(1)])
    assert failures(seen) == {"unfinished drafts": 1, "stray messages": 1}


def test_open_turns_and_reservations_are_detected() -> None:
    seen = verdict_of([asked(1)], [answer(1, 1, 2)], [turn(1, state="running")], reserved=500)
    assert failures(seen) == {"unfinished turns": 1, "tokens still reserved": 500}


def test_a_billed_call_needs_an_exact_or_estimated_row() -> None:
    models = ModelDouble()
    models.bill = [Billed("anthropic", "m", Metered(10, 0, 0, 0), 5, None, True, at) for at in range(3)]
    exact, estimate = ("anthropic", "m", 10, 0, 0, 0, 5, False, False), ("anthropic", "m", 9, 0, 0, 0, 0, False, True)

    def without_exact_row(*rows: tuple[object, ...]) -> tuple[int, int]:
        seen = judge([], [], DatabaseState([], [Row(row) for row in rows], 0), models)
        return seen.without_exact_row, seen.missing_rows

    assert without_exact_row(exact, exact, exact) == (0, 0)
    assert without_exact_row(exact, exact, estimate) == (1, 0)
    assert without_exact_row(exact, exact) == (1, 1)
    still_open = Row((*estimate[:-2], True, True))
    assert failures(verdict_of([], [], [], ledger=[still_open])) == {"calls still open in the ledger": 1}


class Row(tuple[object, ...]):
    """A row of the ledger, as the query returns it."""

    @property
    def estimated(self) -> bool:
        return bool(self[-1])

    @property
    def is_open(self) -> bool:
        return bool(self[-2])


def process(name: str, *, ready: float, gone: float = 0.0) -> Process:
    return Process(1, Spec(name, ("slack",), {}, "log"), ready, ready_at=ready, gone_at=gone)


def orphans(taken: float, back: float, *, outages: Sequence[tuple[float, float]] = ()) -> tuple[int, int]:
    dead = process("w1", ready=1.0, gone=100.0)
    left = OrphanedTurn("t1", dead, at=100.0, fence=1, taken_at=taken)
    seen = Verdict()
    judge_orphans(seen, [left], [dead, process("w1", ready=back)], outages, now=300.0)
    return seen.orphans_after_restart, seen.orphans_after_death


def test_an_orphaned_turn_must_go_on_15_s_after_the_restart_and_45_s_after_the_death() -> None:
    assert orphans(taken=114.0, back=101.0) == (0, 0)
    assert orphans(taken=117.0, back=101.0) == (1, 0)
    assert orphans(taken=140.0, back=150.0) == (0, 0)
    assert orphans(taken=146.0, back=150.0) == (0, 1)
    assert orphans(taken=0.0, back=101.0) == (1, 1)
    assert orphans(taken=120.0, back=101.0, outages=[(102.0, 110.0)]) == (0, 0)


def test_a_turn_that_ended_before_its_process_died_is_not_orphaned() -> None:
    dead = process("w1", ready=1.0, gone=100.0)
    left = [OrphanedTurn(f"t{number}", dead, at=100.0, fence=2) for number in (1, 2, 3, 4)]
    rows = [
        turn(1, fence=2),
        turn(2, fence=3),
        turn(3, fence=2, state="running"),
        turn(4, fence=5, shown_late=True),
    ]
    assert [one.turn_id for one in orphaned_turns(left, rows)] == ["t2", "t3"]


def test_overlapping_outages_count_once() -> None:
    assert merged([(5.0, 9.0), (1.0, 3.0), (2.0, 4.0), (6.0, 7.0)]) == [(1.0, 4.0), (5.0, 9.0)]


def test_a_reply_that_is_still_to_be_shown_is_unfinished() -> None:
    assert failures(verdict_of([asked(1)], [answer(1, 1, 2)], [turn(1, late=True)])) == {"unfinished turns": 1}


def test_a_reply_to_a_deleted_question_that_is_still_to_be_removed_is_unfinished() -> None:
    seen = verdict_of([replace(asked(1), deleted=True)], [], [turn(1, withdrawn=True)])
    assert failures(seen) == {"unfinished turns": 1}
