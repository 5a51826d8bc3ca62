"""Holds a Slack workspace in memory: users, channels, and messages with all their versions."""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.doubles import slack_blocks, slack_content

TEAM = "T0PARLEY"
PARTNER_TEAM = "T0PARTNER"
"""Another organization, with which channels are shared."""
BOT_USER = "U0BOT"
BOT_ID = "B0BOT"
APP_ID = "A0PARLEY"


@dataclass
class User:
    """A person or a bot. ``team_id`` is their own workspace; ``is_admin`` counts there.

    ``is_guest`` may read some channels, ``is_single_channel_guest`` one. ``stranger`` has no channel in common with
    the bot any more. ``deleted``: the account is deactivated.
    """

    id: str
    name: str
    is_admin: bool = False
    is_bot: bool = False
    is_guest: bool = False
    is_single_channel_guest: bool = False
    team_id: str = TEAM
    stranger: bool = False
    deleted: bool = False
    enterprise_user: dict[str, Any] = field(default_factory=dict)

    def payload(self) -> dict[str, Any]:
        """Return the user as ``users.info`` does."""
        profile = {"display_name": self.name, "real_name": self.name.title()}
        flags: dict[str, Any] = {
            "is_admin": self.is_admin,
            "is_owner": False,
            "is_primary_owner": False,
            "is_bot": self.is_bot,
        }
        flags |= {"is_restricted": self.is_guest or self.is_single_channel_guest}
        flags |= {"is_ultra_restricted": self.is_single_channel_guest, "deleted": self.deleted}
        if self.team_id != TEAM:
            flags |= {"is_stranger": self.stranger}
        if self.enterprise_user:
            flags |= {"enterprise_user": self.enterprise_user}
        return {"id": self.id, "team_id": self.team_id, "name": self.name, "real_name": self.name.title()} | {
            "profile": profile,
            **flags,
        }


@dataclass
class Channel:
    """A conversation. ``kind`` is the ``channel_type`` of its events.

    ``shared_with``: the other organizations it is shared with. ``invited``: those that have not accepted yet.
    ``owner``: the organization that the channel belongs to; its ID is the ``team_id`` of the channel's events.
    """

    id: str
    name: str
    kind: str = "channel"
    members: set[str] = field(default_factory=set)
    is_archived: bool = False
    shared_with: tuple[str, ...] = ()
    invited: tuple[str, ...] = ()
    owner: str = TEAM

    def payload(self) -> dict[str, Any]:
        """Return the channel as ``conversations.info`` does."""
        kinds = {"is_channel": "channel", "is_group": "group", "is_im": "im", "is_mpim": "mpim"}
        flags = {flag: self.kind == kind for flag, kind in kinds.items()}
        is_member = BOT_USER in self.members
        is_private = self.kind != "channel"
        base = {"id": self.id, "name": self.name, "is_archived": self.is_archived, "is_private": is_private}
        shared = {
            "is_shared": bool(self.shared_with),
            "is_ext_shared": bool(self.shared_with),
            "is_org_shared": False,
            "is_pending_ext_shared": bool(self.invited),
            "pending_connected_team_ids": list(self.invited),
            "shared_team_ids": [TEAM, *self.shared_with],
        }
        return base | {"is_member": is_member, **flags, **shared}


@dataclass(frozen=True)
class Version:
    """One version of a message; ``at`` is in seconds since the workspace was created."""

    at: float
    text: str
    blocks: list[dict[str, Any]]

    @property
    def shown(self) -> str:
        """What a reader sees: the blocks, or the text if there are none."""
        return "\n".join(slack_blocks.texts(self.blocks)) if self.blocks else self.text

    @property
    def buttons(self) -> list[str]:
        """The action IDs of the buttons."""
        return list(slack_blocks.buttons(self.blocks))


@dataclass
class Stream:
    """The stream of a message. It expires at ``ends``, in seconds since the workspace was created."""

    ends: float
    recipient: str
    chunks: list[dict[str, Any]] = field(default_factory=list)
    stopped: bool = False


@dataclass
class Message:
    """A message with its versions; ``only_for`` is the reader of an ephemeral message."""

    channel: str
    ts: str
    user: str
    versions: list[Version]
    thread_ts: str | None = None
    bot_id: str | None = None
    metadata: Mapping[str, Any] | None = None
    only_for: str | None = None
    files: list[dict[str, Any]] = field(default_factory=list)
    attachments: list[dict[str, Any]] = field(default_factory=list)
    bot_name: str = ""
    deleted: bool = False
    stream: Stream | None = None
    team: str = TEAM

    @property
    def now(self) -> Version:
        """The current version."""
        return self.versions[-1]

    @property
    def shown(self) -> str:
        """What a reader sees now."""
        return self.now.shown

    @property
    def edits(self) -> int:
        """How often the message was edited."""
        return len(self.versions) - 1

    def payload(self) -> dict[str, Any]:
        """Return the message as the Web API and events do."""
        body: dict[str, Any] = {"type": "message", "user": self.user, "ts": self.ts, "team": self.team}
        if self.team != TEAM:
            body |= {"user_team": self.team, "source_team": self.team}
        body |= {"text": self.now.text}
        typed = slack_content.rich_text(self.now.text) if self.now.text and not self.bot_id else []
        optional = {
            "blocks": self.now.blocks or typed,
            "attachments": self.attachments,
            "bot_profile": {"name": self.bot_name} if self.bot_name else None,
            "thread_ts": self.thread_ts,
            "bot_id": self.bot_id,
            "app_id": APP_ID if self.bot_id else None,
            "metadata": self.metadata,
            "files": self.files,
            "streaming_state": ("completed" if self.stream.stopped else "in_progress") if self.stream else None,
        }
        return body | {key: value for key, value in optional.items() if value}


class World:
    """The content of the workspace."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        users = [User("U0ALICE", "alice"), User("U0BOB", "bob"), User("U0ADA", "ada", is_admin=True)]
        self.users = {user.id: user for user in (*users, User(BOT_USER, "parley", is_bot=True))}
        everyone = set(self.users)
        without_bot = everyone - {BOT_USER}
        channels = [
            Channel("C0GENERAL", "general", members=everyone),
            Channel("C0SECRET", "secret", "group", {"U0ALICE", BOT_USER}),
            Channel("C0RANDOM", "random", members=without_bot),
            Channel("C0OLD", "old", members=set(everyone), is_archived=True),
        ]
        self.channels = {channel.id: channel for channel in channels}
        self.groups = [{"id": "S0OPS", "handle": "ops", "name": "Operations", "is_usergroup": True}]
        for user in users:
            self.direct(user.id)
        self.messages: list[Message] = []
        self._by_ts: dict[tuple[str, str], Message] = {}
        self._threads: dict[tuple[str, str], list[Message]] = {}
        self.created_at = clock()
        self._second = int(time.time())
        self._count = itertools.count(1)

    def elapsed(self) -> float:
        """Return the seconds since the workspace was created."""
        return self.clock() - self.created_at

    def next_ts(self) -> str:
        """Return a new message ``ts``, later than all before."""
        return f"{self._second}.{next(self._count):06d}"

    def next_id(self, prefix: str) -> str:
        """Return a new ID of any other kind."""
        return f"{prefix}{next(self._count):08d}"

    def direct(self, user: str) -> Channel:
        """Return the direct message channel between the bot and a user."""
        channel = Channel("D" + user[1:], user, "im", {user, BOT_USER})
        return self.channels.setdefault(channel.id, channel)

    def version(self, text: str, blocks: list[dict[str, Any]] | None = None) -> Version:
        """Return a version with the current time."""
        return Version(self.elapsed(), text, blocks or [])

    def add(self, message: Message) -> Message:
        """Store a message."""
        self.messages.append(message)
        self._by_ts[message.channel, message.ts] = message
        self._threads.setdefault((message.channel, message.thread_ts or message.ts), []).append(message)
        return message

    def find(self, channel: str, ts: str) -> Message | None:
        """Return the message with that ``ts``, unless it was deleted or is ephemeral."""
        message = self._by_ts.get((channel, ts))
        return None if message is None or message.deleted or message.only_for else message

    def thread(self, channel: str, thread_ts: str) -> list[Message]:
        """Return the visible messages of a thread, including its first."""
        messages = self._threads.get((channel, thread_ts), [])
        return [message for message in messages if not (message.deleted or message.only_for)]


def mentions_in(text: str) -> list[str]:
    """Return the control sequences that would notify users."""
    return re.findall(r"<(?:!(?:channel|here|everyone|subteam\^)|@[UW])[^>]*>?", text)
