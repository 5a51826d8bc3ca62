"""Simulated users ask in threads, channels and direct messages; messages may arrive twice, late or out of order."""

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
DUPLICATES = 0.3
LATE = 0.3
"""Share of the messages that arrive up to ``LATE_SECONDS`` later than they were said."""
LATE_SECONDS = 1.0
DUPLICATE_WITHIN = 20.0
LINKED = 0.05
EDITED, DELETED = 0.03, 0.02
"""Shares of Slack's questions that are changed or taken back within ``CHANGED_WITHIN`` seconds.

Discord sends edits and deletions only once, so a run in which processes die cannot guarantee them there.
"""
CHANGED_WITHIN = 6.0
CHANNELS, PEOPLE, GREETED = 8, 24, 6

PlatformName = Literal["slack", "discord"]


@dataclass
class Question:
    """A question that a user asked. ``thread`` names the conversation; ``asked_at`` is monotonic."""

    tag: str
    platform: PlatformName
    thread: str
    channel_id: str
    message_id: str
    asked_at: float
    message: Message | DiscordMessage
    changed_from: str = ""
    """The question's tag before it was edited. No part of an answer to that may remain."""
    withdrawn: bool = False
    """The question was deleted: no answer may remain."""


@dataclass
class Conversation:
    """A thread in progress."""

    first: Question
    questions: list[Question] = field(default_factory=list)


class People(Protocol):
    """The users of one platform."""

    def open(self, tag: str) -> Question:
        """Say something to the bot in a channel or a DM; it is not announced yet."""

    def follow(self, first: Question, tag: str) -> Question | None:
        """Say something more in the same thread; None while that is not possible yet."""

    async def announce(self, question: Question) -> int:
        """Send the message's events to the bot, as the platform does; return their number.

        A second call is a duplicate.
        """

    async def change(self, question: Question, tag: str) -> int:
        """Edit the message to ask something else; return the number of events."""

    async def withdraw(self, question: Question) -> int:
        """Delete the message; return the number of events."""

    def tidy(self) -> None:
        """Drop data that would grow without limit."""


def sentences(tag: str) -> int:
    """How long the answer to a question is."""
    chance = random.Random(tag).random()
    return random.Random(tag + "n").randint(3, 8) if chance < 0.75 else 20 if chance < 0.92 else 70


def script(seen: Seen) -> Reply:
    """The model: every sentence of an answer carries the tag of its question and its number."""
    last = seen.messages[-1][1] if seen.messages else ""
    if last.rstrip().endswith("</messages>"):
        return Reply("They asked for rules and were told them.", piece=20, pause=0.01)
    tags = TAG.findall(last)
    tag = tags[-1] if tags else "Q000000"
    many = sentences(tag)
    text = "\n\n".join(f"{tag} s{at} of {many}: everybody has 30 days of leave." for at in range(1, many + 1)) + " [1]"
    pause = random.Random(tag + "p").uniform(0.01, 0.12)
    return Reply(text, piece=max(24, len(text) // 15), pause=pause)


class SlackPeople:
    """People in a Slack workspace."""

    def __init__(self, slack: SlackDouble, chance: random.Random) -> None:
        self._slack = slack
        self._chance = chance
        self._people = [User(f"U0CROWD{number:02}", f"person{number}") for number in range(PEOPLE)]
        slack.world.users |= {user.id: user for user in self._people}
        members = {user.id for user in self._people} | {BOT_USER}
        made = [SlackChannel(f"C0CHAOS{number}", f"chaos{number}", members=members) for number in range(CHANNELS)]
        slack.world.channels |= {channel.id: channel for channel in made}
        self._channels = made

    def open(self, tag: str) -> Question:
        user = self._chance.choice(self._people)
        if self._chance.random() < 0.15:
            return self._say(self._slack.world.direct(user.id).id, user.id, f"what is the rule in case {tag}?", tag)
        text = f"{self._slack.bot} what is the rule in case {tag}?"
        if self._chance.random() < LINKED:
            text += " See <https://example.com/case>"
        return self._say(self._chance.choice(self._channels).id, user.id, text, tag)

    def follow(self, first: Question, tag: str) -> Question | None:
        known = any(f"{first.tag} s" in reply.shown for reply in self._slack.replies(_slack(first)))
        mention = "" if known and self._chance.random() < 0.6 else f"{self._slack.bot} "
        user, message = self._chance.choice(self._people).id, _slack(first)
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
        if question.withdrawn:
            return 0
        self._slack.announce(message)
        if "<https:" in message.now.text:
            self._slack._unfurl(message)
        mentioned = self._slack.bot in message.now.text and not message.channel.startswith("D")
        return 1 + mentioned + ("<https:" in message.now.text)

    async def change(self, question: Question, tag: str) -> int:
        message = _slack(question)
        question.tag, question.changed_from = tag, question.tag
        await self._slack.edit(message, message.now.text.replace(question.changed_from, tag))
        return 1

    async def withdraw(self, question: Question) -> int:
        question.withdrawn = True
        await self._slack.delete(_slack(question))
        return 1

    def tidy(self) -> None:
        self._slack.calls.clear()


def _slack(question: Question) -> Message:
    assert isinstance(question.message, Message)
    return question.message


class DiscordPeople:
    """People on a Discord server."""

    def __init__(self, discord: DiscordDouble, chance: random.Random) -> None:
        self._discord = discord
        self._chance = chance
        self._people = [discord.world.add_user(f"Person {number}") for number in range(PEOPLE)]
        self._channels = [discord.world.add_channel(f"chaos-{number}") for number in range(CHANNELS)]
        self.greeted: list[DiscordUser] = []
        """Who has had an answer in a direct message. A bot cannot ask Discord who else wrote to it: the very first
        message of somebody that comes while no process can store it is out of reach."""

    def greet(self, number: int, tag: str) -> Question:
        """The first direct message of a person."""
        user = self._people[number]
        self.greeted.append(user)
        return self._say(self._discord.world.dm(user), user, f"what is the rule in case {tag}?", tag)

    def open(self, tag: str) -> Question:
        user = self._chance.choice(self._people)
        if self.greeted and self._chance.random() < 0.1:
            user = self._chance.choice(self.greeted)
            place, text = self._discord.world.dm(user), f"what is the rule in case {tag}?"
        else:
            place, text = self._chance.choice(self._channels), f"{self._discord.bot.mention} what about case {tag}?"
        return self._say(place, user, text, tag)

    def follow(self, first: Question, tag: str) -> Question | None:
        message = _discord(first)
        place = self._discord.world.channels[message.channel_id]
        if place.guild_id is None:
            return self._say(place, message.author, f"and in case {tag}?", tag)
        thread = self._discord.thread(message)
        if thread is None:
            return None
        mention = "" if self._chance.random() < 0.6 else f"{self._discord.bot.mention} "
        question = self._say(thread, self._chance.choice(self._people), f"{mention}and in case {tag}?", tag)
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

    def tidy(self) -> None:
        """Close the books of sessions that ended, and archive threads that are done, as Discord does."""
        sessions = self._discord.gateway.sessions
        for session in [session for session in sessions.values() if session.socket is None]:
            del sessions[session.id]
        self._discord.rest.calls.clear()

    async def change(self, question: Question, tag: str) -> int:
        return 0

    async def withdraw(self, question: Question) -> int:
        return 0


def _discord(question: Question) -> DiscordMessage:
    assert isinstance(question.message, DiscordMessage)
    return question.message


class SimulatedUsers:
    """Asks until as many events were sent as were asked for, spread evenly over the time.

    ``conversations`` go on at once, each for at most ``longest`` questions; ``follows`` is the share of the questions
    that go on with one.
    """

    def __init__(self, people: dict[PlatformName, People], chance: random.Random) -> None:
        self.conversations, self.longest, self.follows = 60, 10, 0.6
        self.questions: list[Question] = []
        self.events = 0
        self.duplicates = 0
        self.people = people
        self._chance = chance
        self._talking: list[Conversation] = []
        self._saying: set[asyncio.Task[None]] = set()

    async def greet(self, people: DiscordPeople) -> None:
        """Some people say their first word to the bot while nothing breaks yet."""
        for number in range(GREETED):
            question = people.greet(number, f"Q{len(self.questions) + 1:06}")
            self.questions.append(question)
            self.events += await people.announce(question)

    async def ask(self, events: int, seconds: float) -> None:
        """Ask for ``seconds``; returns once everything was announced, its duplicates included."""
        start, before = time.monotonic(), self.events
        while self.events - before < events:
            due = events * (time.monotonic() - start) / seconds
            if self.events - before < due:
                self._one()
            await asyncio.sleep(min(0.02, seconds / events))
            if self._chance.random() < 0.002:
                self.tidy()
        await self.quiet()

    async def quiet(self) -> None:
        """Wait until the last duplicate was sent."""
        while self._saying:
            await asyncio.wait(set(self._saying))

    def tidy(self) -> None:
        for people in self.people.values():
            people.tidy()

    def _one(self) -> None:
        question = self._next(f"Q{len(self.questions) + 1:06}")
        if question is None:
            return
        self.questions.append(question)
        delay = self._chance.uniform(0, LATE_SECONDS) if self._chance.random() < LATE else 0.0
        self._later(question, delay)
        self._perhaps_changed(question)
        while self._chance.random() < DUPLICATES:
            self.duplicates += 1
            self._later(question, self._chance.uniform(0, DUPLICATE_WITHIN))

    def _perhaps_changed(self, question: Question) -> None:
        """Some questions are edited or deleted while they are answered, or after."""
        roll, wait = self._chance.random(), LATE_SECONDS + self._chance.uniform(0, CHANGED_WITHIN)
        people = self.people[question.platform]
        opens = question.thread.endswith(f"/{question.message_id}")
        if question.platform != "slack" or roll >= EDITED + DELETED or (opens and roll < DELETED):
            return

        async def change() -> None:
            await asyncio.sleep(wait)
            if roll < DELETED:
                self.events += await people.withdraw(question)
            else:
                self.events += await people.change(question, f"Q9{question.tag[2:]}")

        self._in_background(change())

    def _next(self, tag: str) -> Question | None:
        if self._talking and self._chance.random() < self.follows:
            talk = self._chance.choice(self._talking)
            question = self.people[talk.first.platform].follow(talk.first, tag)
            if question is not None:
                talk.questions.append(question)
                if len(talk.questions) >= self._chance.randint(2, self.longest):
                    self._talking.remove(talk)
                return question
        first = self.people[self._chance.choice(list(self.people))].open(tag)
        self._talking.append(Conversation(first, [first]))
        if len(self._talking) > self.conversations:
            self._talking.pop(0)
        return first

    def _later(self, question: Question, delay: float) -> None:
        async def say() -> None:
            await asyncio.sleep(delay)
            self.events += await self.people[question.platform].announce(question)

        self._in_background(say())

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._saying.add(task)
        task.add_done_callback(self._saying.discard)
