"""Compares what users asked with the platforms' messages, the providers' bill and the database after a chaos run."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.chaos.bot_messages import BotMessage
from benchmarks.chaos.database_state import DatabaseState
from benchmarks.chaos.process_pool import OrphanedTurn, Process
from benchmarks.chaos.simulated_users import SENTENCE, Question
from bot.platforms.discord.user_messages import NOT_STORED_YET
from bot.platforms.slack.user_messages import NOT_STORED
from tests.doubles.models import ModelDouble

AFTER_RESTART, AFTER_DEATH = 15.0, 45.0
"""Seconds within which a turn of a dead process must go on: after that process restarts, and while it stays away."""

OPEN = ("queued", "running")
WAIT_NOTICES = (NOT_STORED, NOT_STORED_YET)


@dataclass
class Verdict:
    """Results of the checks. Each list contains the tags of questions or the texts of messages."""

    questions: int = 0
    answered: int = 0
    refused: int = 0
    lost: list[str] = field(default_factory=list)
    answered_twice: list[str] = field(default_factory=list)
    incomplete: list[str] = field(default_factory=list)
    out_of_order: list[str] = field(default_factory=list)
    drafts: list[str] = field(default_factory=list)
    stray_messages: list[str] = field(default_factory=list)
    posted_twice: list[str] = field(default_factory=list)
    """Messages of a reply that are visible more than once."""
    outdated_answers: list[str] = field(default_factory=list)
    """Questions that were edited or deleted and whose old answer is still shown."""
    deleted: int = 0
    undelivered: int = 0
    """Questions, edits and deletions that Slack gave up delivering, since no process acknowledged them in time."""
    repeated_notices: int = 0
    """Notices to wait for the database that another process repeats to the same user."""
    unfinished: int = 0
    reserved: int = 0
    open_calls: int = 0
    """Calls that the ledger still shows as open."""
    without_exact_row: int = 0
    """Calls that the providers billed in full and that have no exact row in the ledger."""
    missing_rows: int = 0
    """The number of those calls that exceeds the number of estimated rows."""
    orphans_after_restart: int = 0
    orphans_after_death: int = 0
    takeover_seconds: list[float] = field(default_factory=list)
    """Seconds from a process's death until each of its turns was taken over."""
    reachable_takeover_seconds: list[float] = field(default_factory=list)
    """The same without the seconds during which the database or a platform was away."""
    shown_late: int = 0
    """Replies that were stored while their platform was away, and shown later."""
    answer_seconds: list[float] = field(default_factory=list)
    """Seconds from a question to the last change of its answer."""

    @property
    def failures(self) -> dict[str, int]:
        """Return the figures that must be 0."""
        return {
            "lost": len(self.lost),
            "answered twice": len(self.answered_twice),
            "incomplete answers": len(self.incomplete),
            "out of order": len(self.out_of_order),
            "unfinished drafts": len(self.drafts),
            "stray messages": len(self.stray_messages),
            "messages posted twice": len(self.posted_twice),
            "answers to edited or deleted questions": len(self.outdated_answers),
            "unfinished turns": self.unfinished,
            "tokens still reserved": self.reserved,
            "billed calls without a ledger row": self.missing_rows,
            "calls still open in the ledger": self.open_calls,
            "orphaned turns 15 s after a restart": self.orphans_after_restart,
            "orphaned turns 45 s after a death": self.orphans_after_death,
        }


def judge(
    questions: Sequence[Question], shown: Sequence[BotMessage], database: DatabaseState, models: ModelDouble
) -> Verdict:
    """Compare the questions with the messages, the database and the bill."""
    verdict = Verdict(questions=len(questions))
    turn_of = {row.message_id: row for row in database.turns}
    answers: dict[str, list[tuple[BotMessage, int]]] = defaultdict(list)
    for message in sorted(shown, key=lambda one: one.order):
        for tag, number in message.sentences:
            answers[tag].append((message, number))
    replied_to = {message.reply_to for message in shown if message.reply_to and not message.sentences}
    for question in questions:
        row = turn_of.get(question.message_id)
        refused = bool(row.refused) if row is not None else question.message_id in replied_to
        if answers.get(question.edited_from) or (question.deleted and answers.get(question.tag)):
            verdict.outdated_answers.append(question.tag)
        if question.deleted:
            verdict.deleted += 1
            continue
        state = "never accepted" if row is None else f"{row.state}, fence {row.fence}{', late' if row.late else ''}"
        if row is not None and refused and not _is_told(question, row.refused, shown):
            refused, state = False, f"{state}, not told why"
        _judge_one(verdict, question, answers[question.tag], refused=refused, state=state)
    verdict.drafts = [_described(one) for one in shown if one.draft]
    names = Counter((one.platform, one.place, one.nonce) for one in shown if one.nonce)
    verdict.posted_twice = [_described(one) for one in shown if names[one.platform, one.place, one.nonce] > 1]
    verdict.stray_messages, verdict.repeated_notices = _stray_messages(shown, database)
    verdict.out_of_order = _out_of_order(questions, answers, turn_of)
    verdict.unfinished = sum(is_unfinished(row) for row in database.turns)
    verdict.shown_late = sum(row.shown_late for row in database.turns)
    verdict.reserved = database.reserved
    verdict.open_calls = sum(row.is_open for row in database.ledger)
    verdict.without_exact_row, verdict.missing_rows = missing_rows(database, models)
    return verdict


def is_unfinished(row: Any) -> bool:
    """Return whether an answer is still to be shown, or that of a deleted question to be removed."""
    return row.state in OPEN or row.late or row.withdrawn


def _described(one: BotMessage) -> str:
    return f"{one.platform} {one.place} {one.nonce} at {one.at:.1f}: {one.text[:120]}"


def _is_told(question: Question, reason: str, shown: Sequence[BotMessage]) -> bool:
    """Return whether the reason for having no answer is visible in the question's thread, or as a reply to it."""
    here = (one for one in shown if one.place == question.thread or one.reply_to == question.message_id)
    return any(_has_reason(one, reason) for one in here)


def _has_reason(message: BotMessage, reason: str) -> bool:
    return reason.rstrip(".")[:80] in message.text


def _judge_one(
    verdict: Verdict, question: Question, answers: list[tuple[BotMessage, int]], *, refused: bool, state: str
) -> None:
    numbers = [number for _, number in answers]
    if not numbers:
        if refused:
            verdict.refused += 1
        else:
            asked = f"{question.message_id} in {question.platform} {question.thread} at {question.asked_at:.1f}"
            verdict.lost.append(f"{question.tag} ({asked}: {state})")
        return
    verdict.answered += 1
    total = _sentence_total(question.tag, answers)
    if max(Counter(numbers).values()) > 1:
        verdict.answered_twice.append(question.tag)
    elif numbers != list(range(1, total + 1)):
        verdict.incomplete.append(question.tag)
    verdict.answer_seconds.append(max(message.at for message, _ in answers) - question.asked_at)


def _sentence_total(tag: str, answers: list[tuple[BotMessage, int]]) -> int:
    for message, _ in answers:
        for found, _, total in SENTENCE.findall(message.text):
            if found == tag:
                return int(total)
    return 0


def _stray_messages(shown: Sequence[BotMessage], database: DatabaseState) -> tuple[list[str], int]:
    """Return the messages that are not an answer, a draft or a reason for having none, and the number of repeated
    notices.

    A repeated reason is a stray message too. While the database is away, askers on Discord and in Slack's direct
    messages are asked to wait.
    """
    reasons = [row.refused for row in database.turns if row.refused]
    replied_to = {row.message_id for row in database.turns if not row.refused}
    waiting: set[str] = set()
    found, again = [], 0
    for one in shown:
        if one.sentences or one.draft or any(_has_reason(one, reason) for reason in reasons):
            continue
        if any(word in one.text for word in WAIT_NOTICES):
            again += one.place in waiting
            waiting.add(one.place)
        elif not one.reply_to or one.reply_to in replied_to:
            found.append(one.text[:120])
        replied_to.add(one.reply_to)
    return found, again


def _out_of_order(
    questions: Sequence[Question], answers: dict[str, list[tuple[BotMessage, int]]], turn_of: dict[str, Any]
) -> list[str]:
    """Return pairs of questions of one thread, asked and accepted in order, of which the later was answered first.

    An edited question is answered again in its old place.
    """
    threads: dict[str, list[Question]] = defaultdict(list)
    for question in questions:
        if answers.get(question.tag) and question.message_id in turn_of:
            threads[question.thread].append(question)
    found = []
    for asked in threads.values():
        for at, first in enumerate(asked):
            for second in asked[at + 1 :]:
                if turn_of[first.message_id].seq < turn_of[second.message_id].seq:
                    first_message, second_message = answers[first.tag][0][0], answers[second.tag][0][0]
                    later = first_message.at > second_message.at and not first.edited_from
                    if first_message.order > second_message.order or later:
                        at_first, at_second = turn_of[first.message_id].seq, turn_of[second.message_id].seq
                        shown = f"shown at {first_message.at:.1f} and {second_message.at:.1f}"
                        place = f"{first.platform} {first.thread}"
                        found.append(f"{first.tag} ({at_first}), {second.tag} ({at_second}) in {place}, {shown}")
    return found


def missing_rows(database: DatabaseState, models: ModelDouble) -> tuple[int, int]:
    """Return how many billed calls have no exact row in the ledger, and how many have no estimated row either."""
    exact: Counter[tuple[object, ...]] = Counter()
    for row in database.ledger:
        if not row.estimated:
            exact[tuple(row)[:-2]] += 1
    left = 0
    for line in models.bill:
        prompt = line.prompt
        key = (line.provider, line.model, prompt.plain, prompt.read, prompt.written, prompt.written_long, line.output)
        if exact[key] > 0:
            exact[key] -= 1
        else:
            left += 1
    return left, max(0, left - sum(row.estimated for row in database.ledger))


def orphaned_turns(orphaned: Iterable[OrphanedTurn], turns: Iterable[Any]) -> list[OrphanedTurn]:
    """Return the turns that another process had to take over. Turns that their process had ended under its own fence
    before it died are left out. Showing a late reply changes the fence of a turn that has ended."""
    ended = {row.turn_id: row for row in turns if row.state not in OPEN}

    def left(one: OrphanedTurn) -> bool:
        row = ended.get(one.turn_id)
        return row is None or (row.fence != one.fence and not ((row.late or row.shown_late) and row.fence > one.fence))

    return [one for one in orphaned if left(one)]


def judge_orphans(
    verdict: Verdict,
    orphaned: Iterable[OrphanedTurn],
    history: Sequence[Process],
    outages: Sequence[tuple[float, float]],
    now: float,
) -> None:
    """Count the turns that waited too long for another process after theirs died."""
    outages = merged(outages)
    for one in orphaned:
        until = one.taken_at or now
        verdict.takeover_seconds.append(until - one.at)
        away = sum(max(0.0, min(until, end) - max(one.at, start)) for start, end in outages)
        verdict.reachable_takeover_seconds.append(until - one.at - away)
        if until - one.at - away > AFTER_DEATH:
            verdict.orphans_after_death += 1
        back = [process for process in history if process.spec.name == one.by.spec.name and process.ready_at > one.at]
        if back and _lived(back[0], now) > AFTER_RESTART and until - back[0].ready_at - away > AFTER_RESTART:
            verdict.orphans_after_restart += 1


def merged(outages: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the periods in which at least one of the outages lasted."""
    found: list[tuple[float, float]] = []
    for start, end in sorted(outages):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found


def _lived(process: Process, now: float) -> float:
    return (process.gone_at or now) - process.ready_at
