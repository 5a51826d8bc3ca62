"""``sources``: what an answer rests on, each quote in its place."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from typing import Any

from bot.commands.answer_access import asked_about
from bot.commands.base import Command, Context, Reply
from bot.engine.display.citation_links import as_plain_text, link
from bot.engine.display.output_filter import sanitize, urls_in
from bot.errors import UsageError
from bot.store import turns
from bot.types.display import Citation
from knowledge import document_catalog
from knowledge.errors import KnowledgeError
from knowledge.types import TENANT_AUDIENCE

USAGE = "[ID of an answer]"
ROOM = 1700
"""Characters for all excerpts together: with their titles they fit into one message everywhere."""
LEAST, MOST = 60, 300
"""Characters shown on each side of a quote."""

_HEADING = re.compile(r"(?m)^#{1,6}[ \t].*$")

LOOKS, PAUSE = 8, 0.25
"""How often, and how many seconds apart, it is looked whether the answer has been stored."""

STILL_WRITTEN = "That answer is still being written; look again once it is done."
NONE_CITED = "This answer cites no source."
CHANGED = "_The document has changed since; this is what it said:_"
GONE = "_The document is not among those that can be read here any more; this is what it said:_"


async def run(context: Context, line: str) -> Reply:
    """Each source of the answer with this id, or of the thread's last one: its place, and the quote in its words."""
    row = await _stored(context, line)
    if row.state in turns.OPEN:
        raise UsageError(STILL_WRITTEN)
    cited = [Citation(**{**one, "heading": tuple(one["heading"])}) for one in row.citations]
    return shown(cited, await _texts(context, cited))


def shown(cited: Sequence[Citation], texts: Mapping[str, str]) -> Reply:
    """The citations with their quotes in the documents' ``texts``, which are by id."""
    if not cited:
        return Reply(NONE_CITED)
    beside = max(LEAST, min(MOST, (ROOM // len(cited) - max(len(one.quote) for one in cited)) // 2))
    told = "\n\n".join(_told(one, texts.get(one.document_id), beside) for one in cited)
    return Reply(sanitize(told, urls_in(*(link(one) for one in cited))))


async def _stored(context: Context, line: str) -> Any:
    """The answer once it is stored, which is a moment after its buttons are shown; as it is where it is yet to end."""
    for _ in range(LOOKS):
        row = await asked_about(context, "sources", line)
        if row.state not in turns.OPEN:
            break
        await asyncio.sleep(PAUSE)
    return row


async def _texts(context: Context, cited: Sequence[Citation]) -> Mapping[str, str]:
    """The documents as they read now, of those that may be read here."""
    found: dict[str, str] = {}
    async with context.services.database.tenant(context.tenant_id) as session:
        for document_id in dict.fromkeys(one.document_id for one in cited if one.document_id):
            try:
                document = await document_catalog.show(session, context.tenant_id, document_id)
            except KnowledgeError:
                continue
            if context.author.is_admin or document.row.audience in (TENANT_AUDIENCE, context.channel_id):
                found[document_id] = document.text
    return found


def _told(citation: Citation, text: str | None, beside: int) -> str:
    address, place = link(citation), as_plain_text(citation.place).replace("[", "(").replace("]", ")")
    head = f"**[{citation.n}]** [{place}]({address})" if address else f"**[{citation.n}]** {place}"
    where = None if text is None else _where(citation, text)
    if text is None or where is None:
        aside = [CHANGED if text is not None else GONE] if citation.document_id else []
        return "\n".join([head, *aside, f"> **{as_plain_text(citation.quote)}**"])
    before, quoted, after = in_place(text, *where, beside)
    return f"{head}\n> {' '.join(part for part in (before, f'**{quoted}**', after) if part)}"


def _where(citation: Citation, text: str) -> tuple[int, int] | None:
    """Where the quote stands in the document as it is now."""
    if text[citation.start : citation.end] == citation.quote:
        return citation.start, citation.end
    start = text.find(citation.quote)
    return (start, start + len(citation.quote)) if start >= 0 else None


def in_place(text: str, start: int, end: int, beside: int) -> tuple[str, str, str]:
    """What stands before the quote ``text[start:end]``, the quote, and what stands after it, as plain words.

    At most ``beside`` characters on each side, cut between words, and no further than the headings around it; an
    ellipsis says that there is more.
    """
    above, below = _HEADING.split(text[:start])[-1], _HEADING.split(text[end:])[0]
    before, after = above[max(0, len(above) - beside) :], below[:beside]
    if len(above) > beside:
        before = "… " + before.partition(" ")[2]
    if len(below) > beside:
        after = after.rpartition(" ")[0] + " …"
    return as_plain_text(before), as_plain_text(text[start:end]), as_plain_text(after)


COMMAND = Command("sources", "shows what an answer rests on, each quote in its place", USAGE, run)
