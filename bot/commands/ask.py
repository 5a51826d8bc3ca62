"""The ``ask`` command: answers a question privately, and shares a private answer with the channel."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from bot.commands import help_text, user_messages
from bot.commands.base import Command, Context, Reply
from bot.commands.services import Services
from bot.engine import user_messages as engine_messages
from bot.engine.display.citation_links import as_plain_text, link
from bot.engine.display.output_filter import sanitize
from bot.engine.display.urls import urls_in
from bot.engine.ports.surface import Surface
from bot.errors import NotAllowed, UsageError
from bot.store import tenants
from bot.store.turns import turns
from bot.types.audience import Audience
from bot.types.conversation import PRIVATE_THREAD, Attachment, Author, Incoming, ThreadKey
from bot.types.display import Citation, Limits, Part
from bot.types.turns import Outcome

_SHARED_PREFIX = "shared:"
"""Prefix of the inbox entry that marks an answer as shared; the turn's id follows."""


class NullSurface:
    """A Surface that shows nothing, for callers that only need the outcome."""

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
    """Answer privately, in a thread of its own."""
    if not line.strip():
        raise UsageError(user_messages.wrong_usage("ask", help_text.ASK_USAGE))
    return await private_answer(context, line.strip())


async def private_answer(
    context: Context, question: str, attachments: Sequence[Attachment] = (), surface: Surface | None = None
) -> Reply:
    """Answer a question privately, in a thread of its own. ``surface`` reads what it is about and shows nothing."""
    services = context.services
    unique_id = uuid.uuid4().hex
    turn = await services.dispatcher.accept(
        Incoming(
            thread=ThreadKey(context.tenant_id, context.platform, context.channel_id, f"{PRIVATE_THREAD}{unique_id}"),
            message_id=f"{PRIVATE_THREAD}{unique_id}",
            author=context.author,
            text=question,
            kind="ask",
            sent_at=services.clock(),
            audience=context.audience,
            attachments=tuple(attachments),
        )
    )
    assert turn is not None
    outcome = await services.dispatcher.start(turn, surface or NullSurface())
    links = _links(outcome.citations, question, outcome.trace)
    notes = _notes(outcome)
    return Reply(
        sanitize("\n\n".join((text_of(outcome, question), *notes)), links),
        shareable=outcome.refused is None,
        turn_id=outcome.turn_id,
        links=links,
        answer=outcome.answer,
        citations=outcome.citations,
        notes=notes,
    )


@asynccontextmanager
async def sharing(
    services: Services, tenant_id: str, turn_id: str, by: Author, audience: Audience
) -> AsyncIterator[Reply]:
    """Yield a private answer as a reply for the channel; the body posts it. ``audience`` reads the channel now.

    An answer can be shared only once, whichever process handles the request. If the body fails, it can be shared again.
    Raises NotAllowed, UsageError.
    """
    key = f"{_SHARED_PREFIX}{turn_id}"

    async def claim(session: AsyncSession) -> tuple[Reply, ThreadKey]:
        row = await turns.row_of(session, tenant_id=tenant_id, turn_id=turn_id)
        if row is None or not row.answer:
            raise UsageError(user_messages.NOTHING_TO_SHARE)
        reply = _shared(row, by)
        thread = ThreadKey(tenant_id, row.platform, row.channel_id, row.thread_id)
        await _check_readers(session, thread, audience, tenant_wide=row.tenant_wide)
        if not await turns.first(session, thread=thread, message_id=key):
            raise UsageError(user_messages.ALREADY_SHARED)
        return reply, thread

    reply, thread = await services.database.run(tenant_id, claim)
    try:
        yield reply
    except BaseException:
        await services.database.run(tenant_id, partial(turns.not_first, thread=thread, message_id=key))
        raise


async def check_share(services: Services, place: ThreadKey, turn_id: str, by: Author, audience: Audience) -> None:
    """Raise NotAllowed unless the person may show their private answer to the ``audience`` of a channel.

    An answer whose turn is not known counts as one that uses the documents of the whole tenant.
    """
    if audience.tenant_wide:
        return
    async with services.database.tenant(place.tenant_id) as session:
        row = await turns.row_of(session, tenant_id=place.tenant_id, turn_id=turn_id)
        if row is not None and row.user_id != by.id:
            raise NotAllowed(user_messages.ASKER_SHARES)
        await _check_readers(session, place, audience, tenant_wide=row is None or row.tenant_wide)


async def _check_readers(session: AsyncSession, place: ThreadKey, audience: Audience, *, tenant_wide: bool) -> None:
    """Raise NotAllowed if an answer is ``tenant_wide`` and not everybody in the channel may read it."""
    made = await tenants.channel_settings(session, tenant_id=place.tenant_id, channel_id=place.channel_id)
    audience = audience.given(made.external)
    if tenant_wide and not audience.tenant_wide:
        raise NotAllowed(engine_messages.team_answer(audience.readers))


def _shared(row: Any, by: Author) -> Reply:
    if row.user_id != by.id:
        raise NotAllowed(user_messages.ASKER_SHARES)
    citations = [Citation(**{**stored, "heading": tuple(stored["heading"])}) for stored in row.citations]
    question = sanitize(row.question, frozenset())
    links = _links(citations, row.question, row.trace)
    text = _with_sources(row.answer, citations, links)
    return Reply(f"{by.name} asked: {question}\n\n{text}", private=False, links=links)


def text_of(outcome: Outcome, question: str = "") -> str:
    """Return an answer with its sources as one sanitized text."""
    if outcome.refused is not None:
        return outcome.refused
    return _with_sources(outcome.answer, outcome.citations, _links(outcome.citations, question, outcome.trace))


def _notes(outcome: Outcome) -> tuple[str, ...]:
    """Return what the asker must know of an answer: that it was cut off, who verified it, what it does not use."""
    return tuple(engine_messages.without_thread(note) for note in outcome.trace.get("notes", ()))


def _links(citations: Sequence[Citation], question: str, trace: Mapping[str, Any]) -> frozenset[str]:
    """Return the addresses that may be links in a private answer with its sources."""
    quotes = (citation.quote for citation in citations)
    return urls_in(question, *quotes, *map(link, citations)) | frozenset(trace.get("links", ()))


def _with_sources(answer: str, citations: Sequence[Citation], allowed: frozenset[str]) -> str:
    sources = "\n".join(f"[{citation.n}] {_linked(citation)}" for citation in citations)
    return sanitize(f"{sanitize(answer, allowed)}\n\n{sources}".strip(), allowed)


def _linked(citation: Citation) -> str:
    """Return the title and place of a source, as a link if the source has an address."""
    place, address = as_plain_text(citation.place).replace("[", "(").replace("]", ")"), link(citation)
    return f"[{place}]({address})" if address else place


COMMAND = Command("ask", help_text.ASK_SUMMARY, help_text.ASK_USAGE, run)
