"""Defines the cards of commands, and shares them between web processes through the database.

A card is a command line and its reply. The process that runs the command writes its card at each change; the others
read the changes and show them.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, Protocol

from bot.errors import for_operator
from bot.platforms.web import render, user_messages
from bot.platforms.web.event_hub import EventHub
from bot.platforms.web.json_views import FileView, MessageView, SourceView, ThreadView
from bot.store.browser_page import page_commands
from bot.store.browser_page.page_commands import StoredCard
from bot.store.database.session import Database
from bot.types.conversation import LOCAL_TENANT

log = logging.getLogger(__name__)

TOUCH_SECONDS = 5.0
"""Seconds between two signs of life of a running command."""
SILENT_SECONDS = 30.0
"""Seconds without a sign of life after which the process of a command counts as dead."""


@dataclass(frozen=True, slots=True)
class CommandCard:
    """A command, as the page shows it. Others than the author see it only if it is ``public``."""

    author_id: str
    thread: ThreadView
    question: MessageView
    reply: MessageView
    public: bool = False

    @property
    def id(self) -> str:
        """The ID of the reply."""
        return self.reply.id

    def show(self, hub: EventHub) -> None:
        """Show the card on the open pages of this process, or update it there."""
        only_for = "" if self.public else self.author_id
        if not hub.shows(self.question.id, only_for=only_for):
            hub.bump_thread(self.thread, only_for=only_for)
        hub.put_message(self.question, only_for=only_for)
        hub.put_message(self.reply, only_for=only_for)

    def interrupted(self) -> CommandCard:
        """Return the card of a command whose process ended before the command did."""
        reply = replace(
            self.reply,
            blocks=render.blocks(user_messages.COMMAND_INTERRUPTED),
            notes=(),
            actions=(),
            reading="",
            final=True,
            failed=True,
        )
        return replace(self, reply=reply)


class CommandCards(Protocol):
    """The stored cards. Raises StoreAway if they cannot be reached."""

    async def write(self, card: CommandCard) -> None:
        """Store the card, or replace it."""

    async def changes(self, after: int) -> tuple[Sequence[CommandCard], int]:
        """Return cards that were written after the position ``after``, and the position after them.

        The first position is 0. The position stays if there are none.
        """

    async def touch(self, ids: Sequence[str]) -> None:
        """Record that the commands of these cards still run."""

    async def silent(self) -> Sequence[CommandCard]:
        """Return the cards of running commands without a recent sign of life."""

    async def delete_of_thread(self, thread_id: str, author_id: str) -> None:
        """Delete the cards of a conversation that this person sees."""


class StoredCommandCards:
    """The cards in PostgreSQL. ``silent_seconds`` is the age of the last sign of life of a dead process."""

    def __init__(self, database: Database, *, silent_seconds: float = SILENT_SECONDS) -> None:
        self._database = database
        self._silent_seconds = silent_seconds

    async def write(self, card: CommandCard) -> None:
        await self._database.flush(
            LOCAL_TENANT,
            *page_commands.writing(
                tenant_id=LOCAL_TENANT,
                command_id=card.id,
                author_id=card.author_id,
                card=asdict(card),
                ended=card.reply.final,
            ),
        )

    async def changes(self, after: int) -> tuple[Sequence[CommandCard], int]:
        (rows,) = await self._database.flush(
            LOCAL_TENANT, page_commands.changed_after(tenant_id=LOCAL_TENANT, seq=after)
        )
        return _cards(rows), rows[-1].seq if rows else after

    async def touch(self, ids: Sequence[str]) -> None:
        touching = page_commands.touching(tenant_id=LOCAL_TENANT, command_ids=ids, seconds=TOUCH_SECONDS)
        await self._database.flush(LOCAL_TENANT, touching)

    async def silent(self) -> Sequence[CommandCard]:
        silent = page_commands.silent(tenant_id=LOCAL_TENANT, seconds=self._silent_seconds)
        (rows,) = await self._database.flush(LOCAL_TENANT, silent)
        return _cards(rows)

    async def delete_of_thread(self, thread_id: str, author_id: str) -> None:
        deleting = partial(
            page_commands.delete_of_thread, tenant_id=LOCAL_TENANT, thread_id=thread_id, author_id=author_id
        )
        await self._database.run(LOCAL_TENANT, deleting)


def _cards(rows: Sequence[StoredCard]) -> list[CommandCard]:
    """Return the cards of the rows, without those that another version wrote in another form."""
    cards = []
    for row in rows:
        try:
            cards.append(from_json(row.card))
        except (KeyError, TypeError) as error:
            log.warning("a command's card is left out, because it is in another form: %s", for_operator(error))
    return cards


def from_json(stored: Mapping[str, Any]) -> CommandCard:
    """Return the card from its stored form. Raises KeyError or TypeError for another version's form."""
    return CommandCard(
        stored["author_id"],
        ThreadView(**stored["thread"]),
        _message(stored["question"]),
        _message(stored["reply"]),
        stored["public"],
    )


def _message(stored: Mapping[str, Any]) -> MessageView:
    sources = tuple(SourceView(**{**source, "heading": tuple(source["heading"])}) for source in stored["sources"])
    values = {
        **stored,
        **{name: tuple(stored[name]) for name in ("blocks", "notes", "actions")},
        "sources": sources,
        "file": FileView(**stored["file"]) if stored["file"] else None,
    }
    return MessageView(**values)
