"""What a command is, free of any platform: arguments in, a Reply out."""

from __future__ import annotations

import csv
import io
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from bot.types.conversation import Attachment, Author, Platform

if TYPE_CHECKING:
    from bot.commands.services import Services

Cell = str | int | float | None


@dataclass(frozen=True, slots=True)
class Table:
    """Rows for a person: every row is as long as ``columns``."""

    columns: tuple[str, ...]
    rows: Sequence[tuple[Cell, ...]]

    def csv(self) -> bytes:
        """The table as a file, its header first."""
        out = io.StringIO()
        writer = csv.writer(out)
        writer.writerow(self.columns)
        writer.writerows(self.rows)
        return out.getvalue().encode()


@dataclass(frozen=True, slots=True)
class File:
    """A file to hand over, a chart or a CSV."""

    name: str
    data: bytes
    content_type: str


@dataclass(frozen=True, slots=True)
class Reply:
    """What a command answers. ``private`` replies are shown to the asker alone (ephemeral message, DM).

    ``shareable``: the asker may want to show it to the channel afterwards.
    """

    text: str
    table: Table | None = None
    file: File | None = None
    private: bool = True
    shareable: bool = False
    turn_id: str = ""
    """The turn whose answer this is, where it is one."""


class OnUpdate(Protocol):
    """Shows how far a long command is; each text replaces the one before. Never raises.

    With ``stop`` a button stands below the text; pressed, it runs ``/ingest stop STOP``. At most 80 characters.
    """

    async def __call__(self, text: str, /, stop: str = "") -> None: ...


async def _silent(_: str, /, stop: str = "") -> None:
    return None


@dataclass(frozen=True, slots=True)
class ChatChannel:
    """A channel whose history may be taken in. ``public``: everybody of the workspace may read it."""

    id: str
    name: str
    public: bool


class Channels(Protocol):
    """The channels of the platform that a command came from."""

    async def readable(self, channel_id: str, by: Author) -> ChatChannel:
        """The channel, if the bot is in it and ``by`` may read it. Raises NotAllowed, UsageError."""


@dataclass(frozen=True, slots=True)
class Context:
    """Who runs a command, where, and with what. ``thread_id`` is None outside threads, ``channels`` where the platform
    has none."""

    tenant_id: str
    platform: Platform
    channel_id: str
    thread_id: str | None
    author: Author
    services: Services
    attachments: tuple[Attachment, ...] = ()
    update: OnUpdate = field(default=_silent)
    channels: Channels | None = None


@dataclass(frozen=True, slots=True)
class Command:
    """One command. ``usage`` is the argument line; ``run`` raises UsageError or Refused with words for the person."""

    name: str
    summary: str
    usage: str
    run: Callable[[Context, str], Awaitable[Reply]]
    admin: bool = False
