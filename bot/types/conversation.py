"""Defines conversations: threads, authors, messages, attachments, facts and histories."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from bot.types.audience import UNCHECKED, Audience, Standing
from bot.types.usage import Tier

Platform = Literal["slack", "discord", "web", "console"]


FactKind = Literal["preference", "decision", "name", "open question", "note"]


IncomingKind = Literal["mention", "dm", "follow_up", "ask", "overheard"]


Role = Literal["admin", "member"]


PRIVATE_THREAD = "ask:"
"""How the id of a thread begins whose one answer only its asker sees."""


LOCAL_TENANT = "local"
"""The home tenant: the terminal, the playground, and the team's own workspaces."""


@dataclass(frozen=True, slots=True)
class ThreadKey:
    """Identifies a conversation by the platform's own ids.

    ``tenant_id`` is ``slack:TEAM``, ``discord:GUILD`` or ``local`` (see ``Settings.tenant_of``).
    ``thread_id`` is the platform's id of the thread (Slack: ts of its first message; Discord: thread or DM channel).
    """

    tenant_id: str
    platform: Platform
    channel_id: str
    thread_id: str

    @property
    def private(self) -> bool:
        """Whether only the asker sees the answer, as with ``/ask``."""
        return self.thread_id.startswith(PRIVATE_THREAD)


@dataclass(frozen=True, slots=True)
class Author:
    """A person. ``is_admin`` comes from the platform or from the operator's PARLEY_ADMINS.

    Guests and outsiders are never admins: a role counts only in its own workspace.
    """

    id: str
    name: str
    is_admin: bool = False
    standing: Standing = "member"

    @property
    def role(self) -> Role:
        """The role that role limits apply to."""
        return "admin" if self.is_admin else "member"


AttachmentKind = Literal["file", "thread", "messages"]
"""An attached file, the thread above a question, or the messages that a question is about as a whole."""

Extent = Literal["thread", "day"]
"""Which messages of people a question is about: those of its thread, or the last day of its channel."""


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """A message in a channel. ``author`` is a name; ``link`` opens the message."""

    author: str
    author_id: str
    text: str
    at: datetime
    link: str


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file attached to a message; ``read`` fetches its bytes when they are needed.

    ``ref`` lets the platform fetch it again after a restart. A file without one is not used as context. The ``ref`` of
    the kind ``messages`` is their ``Extent``; they are not attached, but read when the question is answered.
    """

    name: str
    content_type: str
    size: int
    read: Callable[[], Awaitable[bytes]]
    ref: str = ""
    kind: AttachmentKind = "file"


@dataclass(frozen=True, slots=True)
class StoredAttachment:
    """Stored context of a question: an attached file, the ``thread`` above it, or the ``messages`` that it is about.

    ``text`` is None until it is read, and always for images; of messages it is JSON. ``people`` are the ids of the
    authors of a thread or of messages. ``own``: it belongs to this turn, not to an earlier one of the thread.
    """

    turn_id: str
    position: int
    kind: AttachmentKind
    name: str
    content_type: str = ""
    size: int = 0
    ref: str = ""
    text: str | None = None
    people: tuple[str, ...] = ()
    own: bool = False


@dataclass(frozen=True, slots=True)
class ThreadAbove:
    """The messages above a question, oldest first, one ``name: text`` a line; ``people`` are the authors' ids."""

    text: str
    people: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Incoming:
    """A message for the bot. ``text`` lacks the bot's own mention; ``message_id`` is unique in its channel."""

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
    audience: Audience = UNCHECKED
    """Who reads the answer. Unless a platform checked it, the answer uses no documents of the whole tenant."""
    edited_at: datetime | None = None
    """When the text was edited, by the platform's clock; None if it is as it was sent."""
    attachments_of: str = ""
    """The ID of an earlier turn whose attachments this question has, in place of attachments of its own."""


@dataclass(frozen=True, slots=True)
class PastMessage:
    """One message of a thread's history. ``seq`` is its turn's: a question and its answer share it.

    ``tenant_wide``: it is an answer that may rest on documents of the whole tenant.
    """

    seq: int
    role: Literal["user", "assistant"]
    author: str
    text: str
    tokens: int
    at: datetime
    tenant_wide: bool = False


@dataclass(frozen=True, slots=True)
class Fact:
    """A fact that a person stated in a thread. The latest about a ``subject`` is valid. ``turn_id`` is its source."""

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
    """A thread's history: a summary up to the turn ``summary_upto``, and the messages after it."""

    summary: str
    summary_upto: int
    messages: tuple[PastMessage, ...]
    tier: Tier | None = None
    """The tier of the last answer. A thread usually stays on its tier."""
    tenant_wide: bool = False
    """Whether the summary covers an answer that may rest on documents of the whole tenant."""

    def for_anyone(self) -> History:
        """Return the history without what may rest on documents of the whole tenant."""
        kept = tuple(message for message in self.messages if not message.tenant_wide)
        return replace(self, messages=kept, summary="" if self.tenant_wide else self.summary)
