"""Types of the slash commands, independent of platforms: command, context, reply, table and file."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from bot.commands import csv_export
from bot.engine.ports.surface import TranscriptReader
from bot.types.audience import UNCHECKED, Audience
from bot.types.conversation import Attachment, Author, Platform
from bot.types.display import Citation
from knowledge.types.scope import audiences

if TYPE_CHECKING:
    from bot.commands.services import Services

Cell = str | int | float | None


@dataclass(frozen=True, slots=True)
class Table:
    """Rows to show to a user. Every row is as long as ``columns``."""

    columns: tuple[str, ...]
    rows: Sequence[tuple[Cell, ...]]

    def csv(self) -> bytes:
        """Return the table as CSV, header first."""
        return csv_export.text(self.columns, self.rows).encode()


@dataclass(frozen=True, slots=True)
class File:
    """A file to send with a reply, such as a chart or a CSV."""

    name: str
    data: bytes
    content_type: str


@dataclass(frozen=True, slots=True)
class Reply:
    """The reply of a command.

    ``text`` is Markdown that may quote anybody: documents, names, questions, errors. The platform sanitizes it when it
    is shown; only its addresses in ``links`` become links (see ``urls_in``). Only the user sees a ``private`` reply
    (ephemeral message, DM). The user may share a ``shareable`` reply with the channel afterwards.
    """

    text: str
    table: Table | None = None
    file: File | None = None
    private: bool = True
    shareable: bool = False
    turn_id: str = ""
    """The turn that this reply answers; empty if it answers no question."""
    answer: str = ""
    """The answer without the sources and notes that ``text`` ends with, for platforms that show them in their way."""
    citations: tuple[Citation, ...] = ()
    notes: tuple[str, ...] = ()
    links: frozenset[str] = frozenset()


class OnUpdate(Protocol):
    """Shows the progress of a long command; each text replaces the previous one. Never raises.

    With ``stop``, a button below the text runs ``/ingest stop STOP``. ``stop`` has at most 80 characters.
    """

    async def __call__(self, text: str, /, stop: str = "") -> None: ...


async def _no_update(_: str, /, stop: str = "") -> None:
    return None


@dataclass(frozen=True, slots=True)
class ChatChannel:
    """A channel whose history can be ingested. Everyone in the workspace may read a ``public`` one."""

    id: str
    name: str
    public: bool


class Channels(Protocol):
    """Access to the channels of the platform that a command came from."""

    async def readable(self, channel_id: str, by: Author) -> ChatChannel:
        """Return the channel if the bot is a member and ``by`` may read it. Raises NotAllowed, UsageError."""


@dataclass(frozen=True, slots=True)
class Context:
    """The user who runs a command, the place, and the services it can use.

    ``thread_id`` is None outside threads; ``channels`` is None on platforms without channels, and so is
    ``transcripts``, which reads the messages there. ``audience`` says who reads an answer there; ``commands.run``
    applies the channel's settings to it. ``private_thread``: fewer people read the thread than its channel.
    """

    tenant_id: str
    platform: Platform
    channel_id: str
    thread_id: str | None
    author: Author
    services: Services
    attachments: tuple[Attachment, ...] = ()
    update: OnUpdate = field(default=_no_update)
    channels: Channels | None = None
    transcripts: TranscriptReader | None = None
    audience: Audience = UNCHECKED
    private_thread: bool = False

    @property
    def readable(self) -> tuple[str, ...] | None:
        """The audiences of the documents that the user may read here; None for an admin, who may read all."""
        if self.author.is_admin:
            return None
        return audiences(self.channel_id, tenant_wide=self.audience.tenant_wide)

    def may_read(self, audience: str) -> bool:
        """Return whether the user may read documents of this audience here."""
        return self.readable is None or audience in self.readable


@dataclass(frozen=True, slots=True)
class Command:
    """One command. ``usage`` describes the arguments; ``run`` raises UsageError or Refused with a message to show.

    ``admin``: only admins may run it. ``members``: guests and people of other organizations may not. ``anyone``: even
    a person who is not known to be in the workspace may, in a direct message.
    """

    name: str
    summary: str
    usage: str
    run: Callable[[Context, str], Awaitable[Reply]]
    admin: bool = False
    members: bool = False
    anyone: bool = False
