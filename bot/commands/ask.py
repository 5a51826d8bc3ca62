"""``ask``: a question whose answer only the asker sees."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from bot.commands.base import Command, Context, Reply
from bot.commands.services import Services
from bot.engine.display.citation_links import as_plain_text, link
from bot.engine.display.output_filter import sanitize, urls_in
from bot.errors import NotAllowed, UsageError
from bot.store import turns
from bot.types.conversation import Author, Incoming, ThreadKey
from bot.types.display import Citation, Limits, Part
from bot.types.turns import Outcome

USAGE = "QUESTION"
SHARED = "shared:"
"""Before the turn's id: what stands in the inbox for an answer that was shared."""
SHARED_BEFORE = "This answer is in the channel already."


class Unseen:
    """A Surface that shows nothing: the outcome alone is wanted."""

    limits = Limits(message_chars=100_000, edit_interval=3600.0, max_parts=1, here_only=True)

    async def post(self, part: Part) -> str:
        return part.nonce

    async def edit(self, ref: str, part: Part) -> None:
        return None

    async def delete(self, ref: str) -> None:
        return None

    async def find(self, nonce: str) -> str | None:
        return nonce


async def run(context: Context, line: str) -> Reply:
    """Answer in private, in a thread of its own."""
    if not line.strip():
        raise UsageError(f"Write /ask {USAGE}.")
    services = context.services
    own = uuid.uuid4().hex
    turn = await services.dispatcher.accept(
        Incoming(
            thread=ThreadKey(context.tenant_id, context.platform, context.channel_id, f"ask:{own}"),
            message_id=f"ask:{own}",
            author=context.author,
            text=line.strip(),
            kind="ask",
            sent_at=services.clock(),
        )
    )
    assert turn is not None
    outcome = await services.dispatcher.start(turn, Unseen())
    return Reply(text_of(outcome, line), shareable=outcome.refused is None, turn_id=outcome.turn_id)


@asynccontextmanager
async def sharing(services: Services, tenant_id: str, turn_id: str, by: Author) -> AsyncIterator[Reply]:
    """A private answer for everybody in the channel, once among all processes; the body shows it.

    Where the body fails it can be shared again. Raises NotAllowed, UsageError.
    """
    async with services.database.tenant(tenant_id) as session:
        row = await turns.row_of(session, tenant_id=tenant_id, turn_id=turn_id)
        if row is None or not row.answer:
            raise UsageError("There is nothing to share here any more; ask again.")
        reply = _shared(row, by)
        thread = ThreadKey(tenant_id, row.platform, row.channel_id, row.thread_id)
        if not await turns.first(session, thread=thread, message_id=f"{SHARED}{turn_id}"):
            raise UsageError(SHARED_BEFORE)
    try:
        yield reply
    except BaseException:
        async with services.database.tenant(tenant_id) as session:
            await turns.not_first(session, thread=thread, message_id=f"{SHARED}{turn_id}")
        raise


def _shared(row: Any, by: Author) -> Reply:
    if row.user_id != by.id:
        raise NotAllowed("Only the person who asked can share this answer.")
    citations = [Citation(**{**one, "heading": tuple(one["heading"])}) for one in row.citations]
    asked = sanitize(row.question, frozenset())
    text = _told(row.answer, citations, row.question)
    return Reply(f"{by.name} asked: {asked}\n\n{text}", private=False)


def text_of(outcome: Outcome, question: str = "") -> str:
    """An answer with its sources as one text, as it may be shown."""
    if outcome.refused is not None:
        return outcome.refused
    return _told(outcome.answer, outcome.citations, question)


def _told(answer: str, citations: Sequence[Citation], question: str) -> str:
    allowed = urls_in(question, *(citation.quote for citation in citations))
    sources = "\n".join(f"[{citation.n}] {_opened(citation)}" for citation in citations)
    return f"{sanitize(answer, allowed)}\n\n{sanitize(sources, urls_in(*(link(one) for one in citations)))}".strip()


def _opened(citation: Citation) -> str:
    """The place of a source, to be opened where it has an address."""
    place, address = as_plain_text(citation.place).replace("[", "(").replace("]", ")"), link(citation)
    return f"[{place}]({address})" if address else place


COMMAND = Command("ask", "answers you alone", USAGE, run)
