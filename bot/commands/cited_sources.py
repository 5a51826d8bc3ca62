"""The ``sources`` command: shows the citations of an answer, each quote in the context of its document."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from typing import Any

from bot.commands import help_text, user_messages
from bot.commands.answer_access import find_answer
from bot.commands.base import Command, Context, Reply
from bot.engine.display.citation_links import as_plain_text, link
from bot.engine.display.urls import urls_in
from bot.errors import UsageError
from bot.store.turns import turns
from bot.types.display import Citation
from knowledge.errors import KnowledgeError
from knowledge.store import document_catalog
from knowledge.store.document_catalog import Surroundings

MAX_EXCERPT_CHARS = 1700
"""Characters of all excerpts together. With their titles they fit into one message on every platform."""
READ_CHARS = 2000
"""Characters read on each side of a quote: those shown, and the headings near them."""
MIN_CONTEXT_CHARS, MAX_CONTEXT_CHARS = 60, 300
"""Characters shown on each side of a quote."""

_HEADING = re.compile(r"(?m)^#{1,6}[ \t].*$")

POLLS, POLL_SECONDS = 8, 0.25
"""Number of checks whether the answer has been stored, and seconds between two checks."""


async def run(context: Context, line: str) -> Reply:
    """Show the sources of the answer with the given id, or of the thread's last answer."""
    row = await _wait_until_stored(context, line)
    if row.state in turns.OPEN:
        raise UsageError(user_messages.STILL_WRITING)
    citations = [Citation(**{**stored, "heading": tuple(stored["heading"])}) for stored in row.citations]
    return shown(citations, await _surroundings(context, citations))


def shown(citations: Sequence[Citation], surroundings: Sequence[Surroundings | None]) -> Reply:
    """Return the citations with their quotes in context."""
    if not citations:
        return Reply(user_messages.NOTHING_CITED)
    longest_quote = max(len(citation.quote) for citation in citations)
    available = (MAX_EXCERPT_CHARS // len(citations) - longest_quote) // 2
    context_chars = max(MIN_CONTEXT_CHARS, min(MAX_CONTEXT_CHARS, available))
    pairs = zip(citations, surroundings, strict=True)
    excerpts = [_excerpt(citation, around, context_chars) for citation, around in pairs]
    return Reply("\n\n".join(excerpts), links=urls_in(*map(link, citations)))


async def _wait_until_stored(context: Context, line: str) -> Any:
    """Return the stored answer. An answer is stored a moment after its buttons appear, so wait up to two seconds."""
    for _ in range(POLLS):
        row = await find_answer(context, "sources", line)
        if row.state not in turns.OPEN:
            break
        await asyncio.sleep(POLL_SECONDS)
    return row


async def _surroundings(context: Context, citations: Sequence[Citation]) -> list[Surroundings | None]:
    """Return the text around each quote; None if its document is gone, or if the user may not read it here."""
    found: list[Surroundings | None] = []
    async with context.services.database.tenant(context.tenant_id) as session:
        for citation in citations:
            try:
                around = await document_catalog.around(
                    session,
                    context.tenant_id,
                    citation.document_id,
                    quote=citation.quote,
                    start=citation.start,
                    chars=READ_CHARS,
                )
            except KnowledgeError:
                found.append(None)
            else:
                found.append(around if context.may_read(around.audience) else None)
    return found


def _excerpt(citation: Citation, around: Surroundings | None, context_chars: int) -> str:
    address, place = link(citation), as_plain_text(citation.place).replace("[", "(").replace("]", ")")
    head = f"**[{citation.n}]** [{place}]({address})" if address else f"**[{citation.n}]** {place}"
    if around is None or around.start is None:
        note = user_messages.DOCUMENT_GONE if around is None else user_messages.DOCUMENT_CHANGED
        return "\n".join([head, *([note] if citation.document_id else []), f"> **{as_plain_text(citation.quote)}**"])
    end = around.start + len(citation.quote)
    before, quoted, after = in_context(around.text, around.start, end, context_chars)
    return f"{head}\n> {' '.join(part for part in (before, f'**{quoted}**', after) if part)}"


def in_context(text: str, start: int, end: int, chars: int) -> tuple[str, str, str]:
    """Return the text before the quote ``text[start:end]``, the quote, and the text after it, all as plain words.

    Each side has at most ``chars`` characters, is cut between words and ends at the nearest heading. An ellipsis marks
    a cut.
    """
    above, below = _HEADING.split(text[:start])[-1], _HEADING.split(text[end:])[0]
    before, after = above[max(0, len(above) - chars) :], below[:chars]
    if len(above) > chars:
        before = "… " + before.partition(" ")[2]
    if len(below) > chars:
        after = after.rpartition(" ")[0] + " …"
    return as_plain_text(before), as_plain_text(text[start:end]), as_plain_text(after)


COMMAND = Command("sources", help_text.SOURCES_SUMMARY, help_text.ANSWER_ID_USAGE, run)
