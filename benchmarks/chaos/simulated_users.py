"""Simulates users who ask in threads, channels and direct messages; messages arrive twice, late and out of order."""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from tests.doubles.discord import DiscordDouble
from tests.doubles.discord_models import Channel as DiscordChannel
from tests.doubles.discord_models import Message as DiscordMessage
from tests.doubles.discord_models import User as DiscordUser
from tests.doubles.models import Reply, Seen
from tests.doubles.slack import SlackDouble
from tests.doubles.slack_world import BOT_USER, Message, User
from tests.doubles.slack_world import Channel as SlackChannel

TAG = re.compile(r"Q\d{6}")
SENTENCE = re.compile(r"(Q\d{6}) s(\d+) of (\d+)\b")
DUPLICATE_SHARE = 0.3
LATE_SHARE = 0.3
"""Share of the messages that arrive up to ``LATE_SECONDS`` late."""
LATE_SECONDS = 1.0
DUPLICATE_WITHIN_SECONDS = 20.0
LINK_SHARE = 0.05
EDITED_SHARE, DELETED_SHARE = 0.03, 0.02
"""Shares of Slack's questions that are edited or deleted within ``EDIT_WITHIN_SECONDS`` seconds. Discord reports such
changes only once, so they can be lost while processes die."""
EDIT_WITHIN_SECONDS = 6.0
CHANNELS, PEOPLE, FIRST_DM_USERS = 8, 24, 6

PlatformName = Literal["slack", "discord"]


@dataclass
class Question:
    """A question of a user. ``thread`` names the conversation; ``asked_at`` is monotonic."""

    tag: str
    platform: PlatformName
    thread: str
    channel_id: str
    message_id: str
    asked_at: float
    message: Message | DiscordMessage
    edited_from: str = ""
    """The tag before the question was edited; no answer to that may be shown."""
    deleted: bool = False
    """The question was deleted; no answer may be shown."""


@dataclass
class Conversation:
    """A thread with its questions so far."""

    first: Question
    questions: list[Question] = field(default_factory=list)


class People(Protocol):
    """The users of one platform."""

    def open(self, tag: str) -> Question:
        """Write a message to the bot in a channel or a DM, without announcing it yet."""

    def follow(self, first: Question, tag: str) -> Question | None:
        """Write another message in the same thread; return None while that is not possible yet."""

    async def announce(self, question: Question) -> int:
        """Send the events of a message as the platform does; return their number. A second call makes duplicates."""

    async def edit(self, question: Question, tag: str) -> int:
        """Edit the message to ask something else; return the number of events."""

    async def delete(self, question: Question) -> int:
        """Delete the message; return the number of events."""

    def trim(self) -> None:
        """Discard records that only grow."""


def sentence_count(tag: str) -> int:
    """Return the number of sentences of the answer to a question."""
    share = random.Random(tag).random()
    return random.Random(tag + "n").randint(3, 8) if share < 0.75 else 20 if share < 0.92 else 70


def script(seen: Seen) -> Reply:
    """Return the model's answer: every sentence has the tag of its question and its number."""
    last = seen.messages[-1][1] if seen.messages else ""
    if last.rstrip().endswith("</messages>"):
        return Reply("They asked for rules and were told them.", piece=20, pause=0.01)
    tags = TAG.findall(last)
    tag = tags[-1] if tags else "Q000000"
    count = sentence_count(tag)
    text = (
        "\n\n".join(f"{tag} s{at} of {count}: everybody has 30 days of leave." for at in range(1, count + 1)) + " [1]"
    )
    pause = random.Random(tag + "p").uniform(0.01, 0.12)
    return Reply(text, piece=max(24, len(text) // 15), pause=pause)


class SlackPeople:
    """Users in a Slack workspace."""

    def __init__(self, slack: SlackDouble, rng: random.Random) -> None:
        self._slack = slack
        self._rng = rng
        self._people = [User(f"U0CROWD{number:02}", f"person{number}") for number in range(PEOPLE)]
        slack.world.users |= {user.id: user for user in self._people}
        members = {user.id for user in self._people} | {BOT_USER}
        channels = [SlackChannel(f"C0CHAOS{number}", f"chaos{number}", members=members) for number in range(CHANNELS)]
        slack.world.channels |= {channel.id: channel for channel in channels}
        self._channels = channels

    def open(self, tag: str) -> Question:
        user = self._rng.choice(self._people)
        if self._rng.random() < 0.15:
            return self._say(self._slack.world.direct(user.id).id, user.id, f"what is the rule in case {tag}?", tag)
        text = f"{self._slack.bot} what is the rule in case {tag}?"
        if self._rng.random() < LINK_SHARE:
            text += " See <https://example.com/case>"
        return self._say(self._rng.choice(self._channels).id, user.id, text, tag)

    def follow(self, first: Question, tag: str) -> Question | None:
        answered = any(f"{first.tag} s" in reply.shown for reply in self._slack.replies(_slack(first)))
        mention = "" if answered and self._rng.random() < 0.6 else f"{self._slack.bot} "
        user, message = self._rng.choice(self._people).id, _slack(first)
        if message.channel.startswith("D"):
            user, mention = message.user, ""
        return self._say(message.channel, user, f"{mention}and in case {tag}?", tag, message.ts)

    def _say(self, channel: str, user: str, text: str, tag: str, thread_ts: str | None = None) -> Question:
        world = self._slack.world
        message = world.add(Message(channel, world.next_ts(), user, [world.version(text)], thread_ts))
        thread = f"{channel}/{thread_ts or message.ts}"
        return Question(tag, "slack", thread, channel, message.ts, time.monotonic(), message)

    async def announce(self, question: Question) -> int:
        message = _slack(question)
        if question.deleted:
            return 0
        self._slack.announce(message)
        if "<https:" in message.now.text:
            self._slack._unfurl(message)
        mentioned = self._slack.bot in message.now.text and not message.channel.startswith("D")
        return 1 + mentioned + ("<https:" in message.now.text)

    async def edit(self, question: Question, tag: str) -> int:
        message = _slack(question)
        question.tag, question.edited_from = tag, question.tag
        await self._slack.edit(message, message.now.text.replace(question.edited_from, tag))
        return 1

    async def delete(self, question: Question) -> int:
        question.deleted = True
        await self._slack.delete(_slack(question))
        return 1

    def trim(self) -> None:
        self._slack.calls.clear()


def _slack(question: Question) -> Message:
    assert isinstance(question.message, Message)
    return question.message


class DiscordPeople:
    """Users on a Discord server."""

    def __init__(self, discord: DiscordDouble, rng: random.Random) -> None:
        self._discord = discord
        self._rng = rng
        self._people = [discord.world.add_user(f"Person {number}") for number in range(PEOPLE)]
        self._channels = [discord.world.add_channel(f"chaos-{number}") for number in range(CHANNELS)]
        self.greeted: list[DiscordUser] = []
        """Users who have an answer in a direct message. A bot cannot ask Discord who else wrote to it, so a user's very
        first direct message is lost if no process can store it."""

    def greet(self, number: int, tag: str) -> Question:
        """Write the first direct message of a user."""
        user = self._people[number]
        self.greeted.append(user)
        return self._say(self._discord.world.dm(user), user, f"what is the rule in case {tag}?", tag)

    def open(self, tag: str) -> Question:
        user = self._rng.choice(self._people)
        if self.greeted and self._rng.random() < 0.1:
            user = self._rng.choice(self.greeted)
            place, text = self._discord.world.dm(user), f"what is the rule in case {tag}?"
        else:
            place, text = self._rng.choice(self._channels), f"{self._discord.bot.mention} what about case {tag}?"
        return self._say(place, user, text, tag)

    def follow(self, first: Question, tag: str) -> Question | None:
        message = _discord(first)
        place = self._discord.world.channels[message.channel_id]
        if place.guild_id is None:
            return self._say(place, message.author, f"and in case {tag}?", tag)
        thread = self._discord.thread(message)
        if thread is None:
            return None
        mention = "" if self._rng.random() < 0.6 else f"{self._discord.bot.mention} "
        question = self._say(thread, self._rng.choice(self._people), f"{mention}and in case {tag}?", tag)
        question.thread, question.channel_id = first.thread, first.channel_id
        return question

    def _say(self, place: DiscordChannel, user: DiscordUser, text: str, tag: str) -> Question:
        message = DiscordMessage(self._discord.world.snowflake(), place.id, user, text, flags=0)
        place.archived = False
        place.messages[message.id] = message
        thread = f"{place.id}/{place.id if place.guild_id is None else message.id}"
        return Question(tag, "discord", thread, str(place.id), str(message.id), time.monotonic(), message)

    async def announce(self, question: Question) -> int:
        await self._discord.redeliver(_discord(question))
        return 1

    def trim(self) -> None:
        """Remove closed gateway sessions and recorded calls."""
        sessions = self._discord.gateway.sessions
        for session in [session for session in sessions.values() if session.socket is None]:
            del sessions[session.id]
        self._discord.rest.calls.clear()

    async def edit(self, question: Question, tag: str) -> int:
        return 0

    async def delete(self, question: Question) -> int:
        return 0


def _discord(question: Question) -> DiscordMessage:
    assert isinstance(question.message, DiscordMessage)
    return question.message


class SimulatedUsers:
    """Asks questions until the given number of events is reached, spread evenly over the time.

    ``conversations`` go on at once, each with at most ``max_questions`` questions. ``follow_up_share`` is the share of
    the questions that continue one.
    """

    def __init__(self, people: dict[PlatformName, People], rng: random.Random) -> None:
        self.conversations, self.max_questions, self.follow_up_share = 60, 10, 0.6
        self.questions: list[Question] = []
        self.events, self.duplicates, self.duplicate_share = 0, 0, DUPLICATE_SHARE
        self.edited_share, self.deleted_share = EDITED_SHARE, DELETED_SHARE
        self.patient = False
        """Whether the users ask nothing for now, since too many of their questions wait."""
        self.people = people
        self._rng = rng
        self._conversations: list[Conversation] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def greet(self, people: DiscordPeople) -> None:
        """Let some users write their first direct messages before faults are injected."""
        for number in range(FIRST_DM_USERS):
            question = people.greet(number, f"Q{len(self.questions) + 1:06}")
            self.questions.append(question)
            self.events += await people.announce(question)

    async def ask(self, events: int, seconds: float) -> None:
        """Ask for ``seconds``, and longer while ``patient``; return after everything was announced, including
        duplicates.
        """
        start, before, last = time.monotonic(), self.events, time.monotonic()
        while self.events - before < events:
            now = time.monotonic()
            if self.patient:
                start += now - last
            last = now
            due = events * (now - start) / seconds
            if self.events - before < due and not self.patient:
                self._ask_one()
            await asyncio.sleep(min(0.02, seconds / events))
            if self._rng.random() < 0.002:
                self.trim()
        await self.wait_until_delivered()

    async def wait_until_delivered(self) -> None:
        """Wait until the last duplicate was sent."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    def trim(self) -> None:
        for people in self.people.values():
            people.trim()

    def _ask_one(self) -> None:
        question = self._next_question(f"Q{len(self.questions) + 1:06}")
        if question is None:
            return
        self.questions.append(question)
        delay = self._rng.uniform(0, LATE_SECONDS) if self._rng.random() < LATE_SHARE else 0.0
        self._announce_later(question, delay)
        self._maybe_edit_or_delete(question)
        while self._rng.random() < self.duplicate_share:
            self.duplicates += 1
            self._announce_later(question, self._rng.uniform(0, DUPLICATE_WITHIN_SECONDS))

    def _maybe_edit_or_delete(self, question: Question) -> None:
        """Edit or delete some questions while they are answered, or afterwards."""
        roll, wait = self._rng.random(), LATE_SECONDS + self._rng.uniform(0, EDIT_WITHIN_SECONDS)
        people = self.people[question.platform]
        opens = question.thread.endswith(f"/{question.message_id}")
        changed_share = self.edited_share + self.deleted_share
        if question.platform != "slack" or roll >= changed_share or (opens and roll < self.deleted_share):
            return

        async def edit() -> None:
            await asyncio.sleep(wait)
            if roll < self.deleted_share:
                self.events += await people.delete(question)
            else:
                self.events += await people.edit(question, f"Q9{question.tag[2:]}")

        self._in_background(edit())

    def _next_question(self, tag: str) -> Question | None:
        if self._conversations and self._rng.random() < self.follow_up_share:
            conversation = self._rng.choice(self._conversations)
            question = self.people[conversation.first.platform].follow(conversation.first, tag)
            if question is not None:
                conversation.questions.append(question)
                if len(conversation.questions) >= self._rng.randint(2, self.max_questions):
                    self._conversations.remove(conversation)
                return question
        first = self.people[self._rng.choice(list(self.people))].open(tag)
        self._conversations.append(Conversation(first, [first]))
        if len(self._conversations) > self.conversations:
            self._conversations.pop(0)
        return first

    def _announce_later(self, question: Question, delay: float) -> None:
        async def say() -> None:
            await asyncio.sleep(delay)
            self.events += await self.people[question.platform].announce(question)

        self._in_background(say())

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
