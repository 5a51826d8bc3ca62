"""Defines conversations: threads, authors, messages, attachments and what a thread remembers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from bot.types.usage import Tier

Platform = Literal["slack", "discord", "web", "console"]


FactKind = Literal["preference", "decision", "name", "open question", "note"]


IncomingKind = Literal["mention", "dm", "follow_up", "ask", "overheard"]


Role = Literal["admin", "member"]


LOCAL_TENANT = "local"
"""The home tenant: the terminal, the playground, and the team's own workspaces."""


@dataclass(frozen=True, slots=True)
class ThreadKey:
    """A conversation, by the platform's own ids.

    ``tenant_id`` is ``slack:TEAM``, ``discord:GUILD`` or ``local`` (see ``Settings.tenant_of``).
    ``thread_id`` is the platform's id of the thread (Slack: ts of its first message; Discord: thread or DM channel).
    """

    tenant_id: str
    platform: Platform
    channel_id: str
    thread_id: str


@dataclass(frozen=True, slots=True)
class Author:
    """A person. ``is_admin`` is what the platform says, or the operator's PARLEY_ADMINS."""

    id: str
    name: str
    is_admin: bool = False

    @property
    def role(self) -> Role:
        """What a limit for a role goes by."""
        return "admin" if self.is_admin else "member"


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file beside a message; ``read`` fetches its bytes when they are needed.

    ``ref`` is what the platform needs to fetch it again after a restart; without one it is no context of a question.
    """

    name: str
    content_type: str
    size: int
    read: Callable[[], Awaitable[bytes]]
    ref: str = ""


@dataclass(frozen=True, slots=True)
class StoredAttachment:
    """What stands beside a stored question: a file, or the ``thread`` above it.

    ``text`` is None until it was read, and stays so for images. ``people`` are the ids of those whose words a thread
    holds. ``own``: it belongs to the turn that is asked about, not to an earlier one of its thread.
    """

    turn_id: str
    position: int
    kind: Literal["file", "thread"]
    name: str
    content_type: str = ""
    size: int = 0
    ref: str = ""
    text: str | None = None
    people: tuple[str, ...] = ()
    own: bool = False


@dataclass(frozen=True, slots=True)
class ThreadAbove:
    """The messages of a thread before a question, oldest first, one ``name: text`` a line; ``people`` are their ids."""

    text: str
    people: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Incoming:
    """A message for the bot. ``text`` has the bot's own mention taken out; ``message_id`` is unique in its channel."""

    thread: ThreadKey
    message_id: str
    author: Author
    text: str
    kind: IncomingKind
    sent_at: datetime
    attachments: tuple[Attachment, ...] = ()
    wish: Tier | None = None
    fresh: bool = False
    """Skip the answer cache: the asker wants a new answer."""


@dataclass(frozen=True, slots=True)
class PastMessage:
    """One message of a thread's history. ``seq`` is that of its turn: a question and its answer share it."""

    seq: int
    role: Literal["user", "assistant"]
    author: str
    text: str
    tokens: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Fact:
    """What a person stated in a thread; of two about one ``subject`` the later holds. ``turn_id`` is its source."""

    id: str
    turn_id: str
    kind: FactKind
    subject: str
    text: str
    author_id: str
    author: str
    said_at: datetime


@dataclass(frozen=True, slots=True)
class History:
    """What a thread remembers: a summary up to the turn ``summary_upto``, and the messages after it."""

    summary: str
    summary_upto: int
    messages: tuple[PastMessage, ...]
    tier: Tier | None = None
    """The tier that answered last: routing is sticky in a thread."""
