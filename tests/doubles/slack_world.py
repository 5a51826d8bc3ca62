"""A workspace in memory: people, channels, messages with every version they ever had."""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.doubles import slack_blocks

TEAM = "T0PARLEY"
BOT_USER = "U0BOT"
BOT_ID = "B0BOT"
APP_ID = "A0PARLEY"


@dataclass
class User:
    """A member of the workspace."""

    id: str
    name: str
    is_admin: bool = False
    is_bot: bool = False
    is_guest: bool = False

    def payload(self) -> dict[str, Any]:
        """As ``users.info`` tells it."""
        profile = {"display_name": self.name, "real_name": self.name.title()}
        flags = {"is_admin": self.is_admin, "is_owner": False, "is_primary_owner": False, "is_bot": self.is_bot}
        flags |= {"is_restricted": self.is_guest}
        return {"id": self.id, "team_id": TEAM, "name": self.name, "real_name": self.name.title(), "deleted": False} | {
            "profile": profile,
            **flags,
        }


@dataclass
class Channel:
    """A conversation. ``kind`` is the ``channel_type`` of its events."""

    id: str
    name: str
    kind: str = "channel"
    members: set[str] = field(default_factory=set)
    is_archived: bool = False

    def payload(self) -> dict[str, Any]:
        """As ``conversations.info`` tells it."""
        kinds = {"is_channel": "channel", "is_group": "group", "is_im": "im", "is_mpim": "mpim"}
        flags = {flag: self.kind == kind for flag, kind in kinds.items()}
        member = BOT_USER in self.members
        private = self.kind != "channel"
        base = {"id": self.id, "name": self.name, "is_archived": self.is_archived, "is_private": private}
        return base | {"is_member": member, **flags}


@dataclass(frozen=True)
class Version:
    """What a message said at a moment, in seconds since the workspace was opened."""

    at: float
    text: str
    blocks: list[dict[str, Any]]

    @property
    def shown(self) -> str:
        """What a reader sees: the blocks, or the text where there are none."""
        return "\n".join(slack_blocks.texts(self.blocks)) if self.blocks else self.text

    @property
    def buttons(self) -> list[str]:
        """The actions offered below it."""
        return list(slack_blocks.buttons(self.blocks))


@dataclass
class Stream:
    """The stream that a message grows by: ``ends`` in seconds since the workspace was opened, unless it is stopped."""

    ends: float
    recipient: str
    chunks: list[dict[str, Any]] = field(default_factory=list)
    stopped: bool = False


@dataclass
class Message:
    """A message with its history; ``only_for`` names the reader of an ephemeral one."""

    channel: str
    ts: str
    user: str
    versions: list[Version]
    thread_ts: str | None = None
    bot_id: str | None = None
    metadata: Mapping[str, Any] | None = None
    only_for: str | None = None
    files: list[dict[str, Any]] = field(default_factory=list)
    deleted: bool = False
    stream: Stream | None = None

    @property
    def now(self) -> Version:
        """What it says."""
        return self.versions[-1]

    @property
    def shown(self) -> str:
        """What a reader sees."""
        return self.now.shown

    @property
    def edits(self) -> int:
        """How often it was changed."""
        return len(self.versions) - 1

    def payload(self) -> dict[str, Any]:
        """As the Web API and events tell it."""
        body: dict[str, Any] = {"type": "message", "user": self.user, "ts": self.ts, "team": TEAM}
        body |= {"text": self.now.text}
        optional = {
            "blocks": self.now.blocks,
            "thread_ts": self.thread_ts,
            "bot_id": self.bot_id,
            "app_id": APP_ID if self.bot_id else None,
            "metadata": self.metadata,
            "files": self.files,
            "streaming_state": ("completed" if self.stream.stopped else "in_progress") if self.stream else None,
        }
        return body | {key: value for key, value in optional.items() if value}


class World:
    """All that the workspace holds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        people = [User("U0ALICE", "alice"), User("U0BOB", "bob"), User("U0ADA", "ada", is_admin=True)]
        self.users = {user.id: user for user in (*people, User(BOT_USER, "parley", is_bot=True))}
        everybody = set(self.users)
        outside = everybody - {BOT_USER}
        channels = [
            Channel("C0GENERAL", "general", members=everybody),
            Channel("C0SECRET", "secret", "group", {"U0ALICE", BOT_USER}),
            Channel("C0RANDOM", "random", members=outside),
            Channel("C0OLD", "old", members=set(everybody), is_archived=True),
        ]
        self.channels = {channel.id: channel for channel in channels}
        for user in people:
            self.direct(user.id)
        self.messages: list[Message] = []
        self._by_ts: dict[tuple[str, str], Message] = {}
        self._threads: dict[tuple[str, str], list[Message]] = {}
        self._opened = clock()
        self._second = int(time.time())
        self._count = itertools.count(1)

    def elapsed(self) -> float:
        """Seconds since the workspace was opened."""
        return self.clock() - self._opened

    def next_ts(self) -> str:
        """A fresh message ts, later than all before."""
        return f"{self._second}.{next(self._count):06d}"

    def next_id(self, prefix: str) -> str:
        """A fresh id of any other kind."""
        return f"{prefix}{next(self._count):08d}"

    def direct(self, user: str) -> Channel:
        """The direct message between the bot and a person."""
        channel = Channel("D" + user[1:], user, "im", {user, BOT_USER})
        return self.channels.setdefault(channel.id, channel)

    def version(self, text: str, blocks: list[dict[str, Any]] | None = None) -> Version:
        """A version that is said now."""
        return Version(self.elapsed(), text, blocks or [])

    def add(self, message: Message) -> Message:
        """Keep a message."""
        self.messages.append(message)
        self._by_ts[message.channel, message.ts] = message
        self._threads.setdefault((message.channel, message.thread_ts or message.ts), []).append(message)
        return message

    def find(self, channel: str, ts: str) -> Message | None:
        """The message of that ts, unless it was deleted or is ephemeral."""
        message = self._by_ts.get((channel, ts))
        return None if message is None or message.deleted or message.only_for else message

    def thread(self, channel: str, thread_ts: str) -> list[Message]:
        """The visible messages of a thread, its first one included."""
        said = self._threads.get((channel, thread_ts), [])
        return [message for message in said if not (message.deleted or message.only_for)]


def pings(text: str) -> list[str]:
    """Control sequences that would call people."""
    return re.findall(r"<(?:!(?:channel|here|everyone|subteam\^)|@[UW])[^>]*>?", text)
