"""Prints answers on the terminal while they are generated, and builds requests from typed text."""

from __future__ import annotations

import errno
import sys
import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import TextIO

from bot.commands.ask import NullSurface
from bot.commands.base import Context
from bot.commands.services import Services
from bot.engine import user_messages
from bot.engine.display.character_filter import visible
from bot.errors import MessageGone
from bot.terminal_markdown import is_in_code, shows_bold, with_bold
from bot.types.audience import MEMBERS
from bot.types.conversation import LOCAL_TENANT, Author, Incoming, ThreadKey
from bot.types.display import Limits, Part
from bot.types.usage import Tier

CHANNEL = "console"
FROM_CACHE = "Cached answer from the same documents. Use --fresh, or /again in a chat, for a new one."
TERMINAL_CLOSED = "The terminal was closed."


class Terminal:
    """A Surface that prints what was added to the answer since the last edit.

    A terminal cannot erase printed text: a rewritten answer is printed again in full.
    """

    limits = Limits(message_chars=200_000, edit_interval=0.05, max_parts=1, here_only=True, ends_with_process=True)

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out or sys.stdout
        self._shown = ""
        self._bold = shows_bold(self._out)
        self.error: OSError | None = None
        """Why the answer could not be printed."""

    async def post(self, part: Part) -> str:
        """Print nothing for the placeholder, because the answer follows on the same line. Return the nonce."""
        return part.nonce

    async def edit(self, ref: str, part: Part) -> None:
        """Print the new text. The last line waits for the final edit, because citations may still change it.

        Raises MessageGone if the output was closed, for example by ``| head``, or is full.
        """
        try:
            self._print(part.text if part.final else _complete_lines(part.text))
            if part.final:
                self._finish(part)
        except (OSError, ValueError) as error:
            self.error = error if isinstance(error, OSError) else OSError(errno.EPIPE, TERMINAL_CLOSED)
            raise MessageGone(TERMINAL_CLOSED) from error

    async def delete(self, ref: str) -> None:
        """Do nothing: printed text cannot be erased."""

    async def find(self, nonce: str) -> str | None:
        """Return the nonce, which is also the reference."""
        return nonce

    def _print(self, text: str) -> None:
        if not text.startswith(self._shown):
            self._out.write("\n\n" if self._shown else "")
            self._shown = ""
        added = text[len(self._shown) :]
        self._out.write(with_bold(added, in_code=is_in_code(self._shown)) if self._bold else added)
        self._out.flush()
        self._shown = text

    def _finish(self, part: Part) -> None:
        sources = [f"[{one.n}] {one.place}: “{' '.join(one.quote.split())}”" for one in part.sources]
        notes = [f"({FROM_CACHE if note == user_messages.FROM_CACHE else note})" for note in part.notes]
        lines = ["", *map(visible, sources), *map(visible, notes)]
        self._out.write("\n".join(lines).rstrip() + "\n")
        self._out.flush()


class SilentTerminal(NullSurface):
    """A surface that prints nothing, because the caller prints the outcome as JSON."""

    limits = replace(NullSurface.limits, ends_with_process=True)


def _complete_lines(text: str) -> str:
    """Return the text without its last line, which may be unfinished."""
    return text[: text.rfind("\n") + 1]


def incoming(
    question: str,
    *,
    thread: str,
    user: str,
    wish: Tier | None = None,
    fresh: bool = False,
    clock: Callable[[], datetime] | None = None,
) -> Incoming:
    """Return a question typed on the terminal; with ``fresh``, the answer cache is not used."""
    return Incoming(
        thread=ThreadKey(LOCAL_TENANT, "console", CHANNEL, thread),
        message_id=uuid.uuid4().hex,
        author=author(user),
        text=question,
        kind="ask",
        sent_at=(clock or _now)(),
        wish=wish,
        fresh=fresh,
        audience=MEMBERS,
    )


def context(services: Services, *, thread: str | None, user: str) -> Context:
    """Return the context of a command typed on the terminal."""
    return Context(
        tenant_id=LOCAL_TENANT,
        platform="console",
        channel_id=CHANNEL,
        thread_id=thread,
        author=author(user),
        services=services,
        audience=MEMBERS,
    )


def author(user: str) -> Author:
    """Return the author of typed text. The user of the terminal is an admin."""
    return Author(user, user, is_admin=True)


def _now() -> datetime:
    return datetime.now(UTC)
