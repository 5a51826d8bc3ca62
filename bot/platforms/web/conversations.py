"""Implements what can be done with a whole conversation: rename, pin, export and delete it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from bot.engine.answer.final_reply import answer_text
from bot.engine.display.character_filter import visible
from bot.errors import NotAllowed, UsageError
from bot.platforms.web import user_messages
from bot.platforms.web.command_cards import CommandCards
from bot.platforms.web.event_hub import EventHub
from bot.platforms.web.history import History
from bot.store.browser_page.page_conversations import MessageRow
from bot.store.threads import TITLE_CHARS
from bot.types.conversation import Author
from bot.types.display import Citation


@dataclass(frozen=True, slots=True)
class Conversations:
    """The conversations of the page. ``delete_turn`` deletes a question with its answer for this person."""

    history: History
    hub: EventHub
    cards: CommandCards
    delete_turn: Callable[[str, Author], Awaitable[None]]

    async def rename(self, thread_id: str, title: str) -> None:
        """Give a conversation another title. Raises UsageError if that is empty, or without a question in it."""
        title = " ".join(title.split())[:TITLE_CHARS]
        if not title:
            raise UsageError(user_messages.NO_TITLE)
        if not await self.history.rename(thread_id, title):
            raise UsageError(user_messages.BAD_THREAD)
        self.hub.retitle(thread_id, title)

    async def pin(self, thread_id: str, pinned: bool) -> None:
        """Pin a conversation to the top of the list for everybody, or undo that. Raises UsageError."""
        if not await self.history.pin(thread_id, pinned):
            raise UsageError(user_messages.BAD_THREAD)
        self.hub.pin(thread_id, pinned)

    async def delete(self, thread_id: str, author: Author) -> None:
        """Delete the commands of a conversation, and the questions that this person may delete, with their answers.

        Raises NotAllowed if questions of others are left.
        """
        others_left = False
        for turn_id in dict.fromkeys(row.turn_id for row in await self.history.messages(thread_id)):
            try:
                await self.delete_turn(turn_id, author)
            except NotAllowed:
                others_left = True
            except UsageError:  # It was deleted meanwhile, or together with the question that it repeats.
                continue
        await self.cards.delete_of_thread(thread_id, author.id)
        self.hub.remove_thread(thread_id, author.id)
        if others_left:
            raise NotAllowed(user_messages.OTHERS_LEFT)

    async def export(self, thread_id: str) -> tuple[str, str]:
        """Return the title of a conversation and its text as Markdown. Raises UsageError without a question in it."""
        title = await self.history.title(thread_id)
        if not title:
            raise UsageError(user_messages.BAD_THREAD)
        return title, as_markdown(title, await self.history.messages(thread_id))


def as_markdown(title: str, rows: Sequence[MessageRow]) -> str:
    """Return the messages of a conversation with their sources as one Markdown document."""
    parts = [f"# {visible(title)}"]
    for row in rows:
        name = visible(row.author)
        parts += [f"## {name}, {row.created_at:%Y-%m-%d %H:%M} UTC", visible(_text(row))]
        parts += ["\n".join(map(_source, row.citations))] if row.citations else []
        parts += [f"_{' · '.join(map(visible, row.notes))}_"] if row.notes else []
    return "\n\n".join(parts) + "\n"


def _text(row: MessageRow) -> str:
    return answer_text(row.text, row.state) if row.role == "assistant" else row.text


def _source(citation: Citation) -> str:
    quote = " ".join(visible(citation.quote).split())
    return f"{citation.n}. {visible(citation.place)} ({visible(citation.source)}): “{quote}”"
