"""Checks the final state of platforms, providers and database: nothing lost, said twice or out of order."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError

from benchmarks.chaos.process_pool import Interrupted, Process
from benchmarks.chaos.simulated_users import SENTENCE, PlatformName, Question
from bot.platforms.discord.user_messages import NOT_STORED_YET
from bot.platforms.slack.user_messages import NOT_STORED
from bot.store.session import driver_url
from tests.doubles.discord import DiscordDouble
from tests.doubles.models import ModelDouble
from tests.doubles.slack import SlackDouble

AFTER_RESTART, AFTER_DEATH = 15.0, 45.0
"""Seconds within which a turn whose process died must continue: if the process comes back, and if it does not."""

OPEN = ("queued", "running")
TO_WAIT = (NOT_STORED, NOT_STORED_YET)


@dataclass(frozen=True, slots=True)
class Shown:
    """A message of the bot in its final form.

    ``place`` and ``order`` sort the messages of a thread; ``at`` is monotonic.
    """

    platform: PlatformName
    place: str
    order: int
    text: str
    draft: bool
    at: float
    reply_to: str = ""
    """The message that it answers by a reply."""

    @property
    def sentences(self) -> list[tuple[str, int]]:
        """Return tag and number of every sentence of an answer in the text."""
        return [(tag, int(number)) for tag, number, _ in SENTENCE.findall(self.text)]


@dataclass
class Verdict:
    """The faults found; each list names questions by their tags, or messages by their texts."""

    questions: int = 0
    answered: int = 0
    refused: int = 0
    lost: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    torn: list[str] = field(default_factory=list)
    disordered: list[str] = field(default_factory=list)
    drafts: list[str] = field(default_factory=list)
    strays: list[str] = field(default_factory=list)
    outdated: list[str] = field(default_factory=list)
    """Answers to the earlier text of an edited question, or to a deleted one."""
    withdrawn: int = 0
    told_again: int = 0
    """Number of repeated notices, from another process, to wait for the database."""
    unfinished: int = 0
    reserved: int = 0
    under_way: int = 0
    """Calls that are still open in the ledger."""
    unbilled: int = 0
    """Calls that the providers billed in full and that have no exact row in the ledger."""
    unexplained: int = 0
    """Those of them beyond the number of rows marked as estimated."""
    orphans_after_restart: int = 0
    orphans_after_death: int = 0
    waits: list[float] = field(default_factory=list)
    """Seconds from a process's death until another process took over each of its turns."""
    delays: list[float] = field(default_factory=list)
    """Seconds from a question to the last change of its answer."""

    @property
    def failures(self) -> dict[str, int]:
        """Return the counts that must be 0."""
        return {
            "lost": len(self.lost),
            "answered twice": len(self.twice),
            "torn answers": len(self.torn),
            "out of order": len(self.disordered),
            "drafts left standing": len(self.drafts),
            "stray messages": len(self.strays),
            "answers to what was changed or deleted": len(self.outdated),
            "turns unfinished": self.unfinished,
            "tokens still reserved": self.reserved,
            "billed calls without a row": self.unexplained,
            "calls still open in the ledger": self.under_way,
            "orphans 15 s after a restart": self.orphans_after_restart,
            "orphans 45 s after a death": self.orphans_after_death,
        }


# --- what stands on the platforms


def slack_messages(slack: SlackDouble) -> list[Shown]:
    """Return every message of the bot that everybody sees."""
    found = []
    for message in slack.world.messages:
        if not message.bot_id or message.deleted or message.only_for:
            continue
        seconds, _, count = message.ts.partition(".")
        at = slack.world.created_at + message.versions[-1].at
        place = f"{message.channel}/{message.thread_ts or message.ts}"
        draft = "parley_stop" in message.now.buttons
        found.append(Shown("slack", place, int(seconds) * 10**7 + int(count), message.shown, draft, at))
    return found


def discord_messages(discord: DiscordDouble) -> list[Shown]:
    """Every message of the bot."""
    found = []
    for channel in discord.world.channels.values():
        for message in channel.messages.values():
            if message.author is discord.bot and not message.deleted:
                draft = any(custom_id.startswith("parley:stop:") for custom_id in message.buttons().values())
                place = f"{channel.parent_id or channel.id}/{channel.id}"
                at = message.versions[-1].at
                reply_to = str((message.reference or {}).get("message_id", ""))
                found.append(Shown("discord", place, message.id, message.content, draft, at, reply_to))
    return found


# --- what the database says


_TURNS = text(
    "SELECT turn_id::text AS turn_id, thread_uid::text AS thread_uid, message_id, state, seq, fence, refused,"
    " created_at, started_at, finished_at FROM turns ORDER BY seq"
)
_RESERVED = text("SELECT coalesce(sum(reserved), 0)::bigint FROM budget_days")
_LEDGER = text(
    "SELECT provider, model, input_tokens, cached_tokens, cache_write_tokens, cache_write_long_tokens,"
    " completion_tokens, status = 'open' AS under_way, estimated FROM ledger"
)


@dataclass(frozen=True, slots=True)
class Books:
    """The relevant rows of the database, read once."""

    turns: Sequence[Any]
    ledger: Sequence[Any]
    reserved: int


def read_books(url: str, *, tries: int = 20) -> Books:
    """Read as the superuser, who sees every tenant; again after a second where there is no connection to be had."""
    for _ in range(tries - 1):
        try:
            return _read_books(url)
        except OperationalError:
            time.sleep(1.0)
    return _read_books(url)


def _read_books(url: str) -> Books:
    engine = create_engine(driver_url(url))
    try:
        with engine.connect() as connection:
            turns = list(connection.execute(_TURNS))
            ledger = list(connection.execute(_LEDGER))
            return Books(turns, ledger, int(connection.scalar(_RESERVED) or 0))
    finally:
        engine.dispose()


# --- the comparison


def judge(questions: Sequence[Question], shown: Sequence[Shown], books: Books, models: ModelDouble) -> Verdict:
    """Compare the questions with the messages on the platforms."""
    verdict = Verdict(questions=len(questions))
    turn_of = {row.message_id: row for row in books.turns}
    said: dict[str, list[tuple[Shown, int]]] = defaultdict(list)
    for message in sorted(shown, key=lambda one: one.order):
        for tag, number in message.sentences:
            said[tag].append((message, number))
    told = {message.reply_to for message in shown if message.reply_to and not message.sentences}
    for question in questions:
        row = turn_of.get(question.message_id)
        refused = bool(row.refused) if row is not None else question.message_id in told
        if said.get(question.changed_from) or (question.withdrawn and said.get(question.tag)):
            verdict.outdated.append(question.tag)
        if question.withdrawn:
            verdict.withdrawn += 1
            continue
        _judge_one(verdict, question, said[question.tag], refused=refused)
    verdict.drafts = [message.text[:120] for message in shown if message.draft]
    verdict.strays, verdict.told_again = _strays(shown, books)
    verdict.disordered = _disordered(questions, said, turn_of)
    verdict.unfinished = sum(row.state in OPEN for row in books.turns)
    verdict.reserved = books.reserved
    verdict.under_way = sum(row.under_way for row in books.ledger)
    verdict.unbilled, verdict.unexplained = _unbilled(books, models)
    return verdict


def _judge_one(verdict: Verdict, question: Question, said: list[tuple[Shown, int]], *, refused: bool) -> None:
    numbers = [number for _, number in said]
    if not numbers:
        if refused:
            verdict.refused += 1
        else:
            verdict.lost.append(f"{question.tag} in {question.platform} {question.thread} at {question.asked_at:.1f}")
        return
    verdict.answered += 1
    many = _many(question.tag, said)
    if max(Counter(numbers).values()) > 1:
        verdict.twice.append(question.tag)
    elif numbers != list(range(1, many + 1)):
        verdict.torn.append(question.tag)
    verdict.delays.append(max(message.at for message, _ in said) - question.asked_at)


def _many(tag: str, said: list[tuple[Shown, int]]) -> int:
    for message, _ in said:
        for found, _, many in SENTENCE.findall(message.text):
            if found == tag:
                return int(many)
    return 0


def _strays(shown: Sequence[Shown], books: Books) -> tuple[list[str], int]:
    """Messages that are neither an answer, nor a draft, nor why there is none; a reason said twice is one of them.

    In Slack's direct messages, and on Discord, the asker is told where the database is away that it is tried again.
    """
    reasons = [row.refused.rstrip(".")[:80] for row in books.turns if row.refused]
    told = {row.message_id for row in books.turns if not row.refused}
    waiting: set[str] = set()
    found, again = [], 0
    for one in shown:
        if one.sentences or one.draft or any(reason in one.text for reason in reasons):
            continue
        if any(word in one.text for word in TO_WAIT):
            again += one.place in waiting
            waiting.add(one.place)
        elif not one.reply_to or one.reply_to in told:
            found.append(one.text[:120])
        told.add(one.reply_to)
    return found, again


def _disordered(
    questions: Sequence[Question], said: dict[str, list[tuple[Shown, int]]], turn_of: dict[str, Any]
) -> list[str]:
    """Of two questions of a thread, asked and accepted one after the other, the later was answered first.

    A question that was changed is answered anew, in its old place.
    """
    threads: dict[str, list[Question]] = defaultdict(list)
    for question in questions:
        if said.get(question.tag) and question.message_id in turn_of:
            threads[question.thread].append(question)
    found = []
    for asked in threads.values():
        for at, first in enumerate(asked):
            for second in asked[at + 1 :]:
                if turn_of[first.message_id].seq < turn_of[second.message_id].seq:
                    first_message, second_message = said[first.tag][0][0], said[second.tag][0][0]
                    later = first_message.at > second_message.at and not first.changed_from
                    if first_message.order > second_message.order or later:
                        at_first, at_second = turn_of[first.message_id].seq, turn_of[second.message_id].seq
                        shown = f"shown at {first_message.at:.1f} and {second_message.at:.1f}"
                        place = f"{first.platform} {first.thread}"
                        found.append(f"{first.tag} ({at_first}), {second.tag} ({at_second}) in {place}, {shown}")
    return found


def _unbilled(books: Books, models: ModelDouble) -> tuple[int, int]:
    exact: Counter[tuple[object, ...]] = Counter()
    for row in books.ledger:
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
    return left, max(0, left - sum(row.estimated for row in books.ledger))


def left_by_the_dead(interrupted: Iterable[Interrupted], turns: Iterable[Any]) -> list[Interrupted]:
    """The turns that another process had to go on with: all but those that theirs had ended under its own fence, and
    then died before it could say so."""
    ended = {(row.turn_id, row.fence) for row in turns if row.state not in OPEN}
    return [one for one in interrupted if (one.turn_id, one.fence) not in ended]


def judge_orphans(
    verdict: Verdict,
    interrupted: Iterable[Interrupted],
    history: Sequence[Process],
    outages: Sequence[tuple[float, float]],
    now: float,
) -> None:
    """Count the turns that waited too long for another process after theirs had died."""
    for one in interrupted:
        until = one.taken_at or now
        verdict.waits.append(until - one.at)
        away = sum(max(0.0, min(until, end) - max(one.at, start)) for start, end in outages)
        if until - one.at - away > AFTER_DEATH:
            verdict.orphans_after_death += 1
        back = [process for process in history if process.spec.name == one.by.spec.name and process.ready_at > one.at]
        if back and _lived(back[0], now) > AFTER_RESTART and until - back[0].ready_at - away > AFTER_RESTART:
            verdict.orphans_after_restart += 1


def _lived(process: Process, now: float) -> float:
    return (process.gone_at or now) - process.ready_at


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which ``share`` of them lie; 0 where there are none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0
