"""Reads the messages to summarize, and turns each into a passage with a link."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import datetime
from typing import cast

from bot.engine import user_messages
from bot.engine.answer import prompt
from bot.engine.answer.attempt_state import Attempt
from bot.engine.answer.budget_limits import PASSAGE_SHARE
from bot.engine.answer.context import Context
from bot.engine.answer.query import Query
from bot.engine.answer.retrieval import Evidence
from bot.engine.ports.surface import Surface, TranscriptReader
from bot.errors import Refused
from bot.types.conversation import ChatMessage, Extent, StoredAttachment
from bot.types.turns import TurnRecord
from knowledge.text.storable_text import storable
from knowledge.types.search_results import Passage

log = logging.getLogger(__name__)

MAX_MESSAGES = 400
"""The most messages that are kept, the last ones."""
MESSAGE_CHARS = 2_000


def wanted(attempt: Attempt, record: TurnRecord) -> StoredAttachment | None:
    """Return the messages that the question is about; None for a question about documents.

    The turn's own come before those of an earlier turn that asked the same.
    """
    found = [one for one in record.attached if one.kind == "messages" and one.own]
    return next((one for one in found if one.turn_id == attempt.turn.id), found[-1] if found else None)


async def evidence(
    context: Context, attempt: Attempt, surface: Surface, asked_for: StoredAttachment, query: Query
) -> Evidence:
    """Return the messages as the evidence, oldest first: the last ones that fit the prompt.

    They are read once and stored with the turn. Raises Refused if there are none, and the surface's errors.
    """
    text = asked_for.text
    if text is None:
        if not isinstance(surface, TranscriptReader):
            raise Refused(user_messages.NO_MESSAGES_HERE)
        messages = (await _read(surface, cast(Extent, asked_for.ref)))[-MAX_MESSAGES:]
        people = tuple(dict.fromkeys(one.author_id for one in messages if one.author_id))
        text = storable(_stored(messages))
        read = replace(asked_for, text=text, people=people)
        await context.stores.attachments.keep_attachment(attempt.turn, read)
    passages = _passages(text)
    if not passages:
        raise Refused(user_messages.nothing_to_summarize(asked_for.ref))
    kept = prompt.fitting(passages[::-1], context.share(PASSAGE_SHARE), context.count)[::-1]
    left_out = len(passages) - len(kept)
    notes = (user_messages.older_left_out(left_out),) if left_out else ()
    return Evidence(query, passages=kept, notes=notes, overview=True)


async def _read(surface: TranscriptReader, extent: Extent) -> list[ChatMessage]:
    try:
        return list(await surface.transcript(extent))
    except TimeoutError:
        raise Refused(user_messages.MESSAGES_TOO_SLOW) from None


def _stored(messages: Sequence[ChatMessage]) -> str:
    rows = [asdict(replace(one, text=one.text[:MESSAGE_CHARS])) | {"at": one.at.isoformat()} for one in messages]
    return json.dumps(rows, ensure_ascii=False)


def _passages(stored: str) -> list[Passage]:
    return [
        Passage(
            chunk_id=0,
            document_id="",
            text=row["text"],
            source=row["link"],
            title=user_messages.said_by(row["author"], datetime.fromisoformat(row["at"])),
            heading=(),
            start=0,
            end=len(row["text"]),
            page=None,
            score=0.0,
        )
        for row in json.loads(stored)
        if row["text"].strip()
    ]
