"""Reads the context of a question: attached files and images, and the thread above it, within the prompt's budget.

People or their tools wrote this context, so it is data for the answer and never an instruction.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

from bot.engine import user_messages
from bot.engine.answer import attachment_quotes
from bot.engine.answer.attached_context import FILE_CHARS, NO_ATTACHED_CONTEXT, AttachedContext, fit
from bot.engine.answer.attempt_state import Attempt
from bot.engine.answer.context import Context
from bot.engine.ports.attachment_reader import FileText
from bot.engine.ports.llm import Image
from bot.engine.ports.surface import ContextReader, Surface
from bot.errors import ParleyError, for_operator
from bot.types.conversation import StoredAttachment
from bot.types.turns import TurnRecord
from knowledge.errors import KnowledgeError
from knowledge.text.storable_text import storable
from knowledge.types.search_results import Passage

log = logging.getLogger(__name__)

SHARE = 2000 / 8000
"""Share of the prompt's tokens for attachments and the thread above."""
MAX_FILES = 8
"""Maximum number of files that are read for one question."""
MAX_IMAGES = 4
"""Maximum number of images that the model sees for one question."""
READ_SECONDS = 45.0
"""Timeout for reading all files of a question and the thread above it."""
THREAD_ABOVE = -1
"""The position under which the thread above is stored among a turn's attachments."""


@dataclass(frozen=True, slots=True)
class Attachments:
    """The attachments that were read, for the prompt and, without a model, as passages to quote.

    ``files_read`` names the question's own files that were read without a model.
    """

    context: AttachedContext = NO_ATTACHED_CONTEXT
    passages: tuple[Passage, ...] = ()
    files_read: tuple[str, ...] = ()


async def read(context: Context, attempt: Attempt, surface: Surface, record: TurnRecord, query: str) -> Attachments:
    """Read attachments that are not stored yet, and store them with the thread. Add a note for each unreadable one."""
    start = context.monotonic()
    known = [one for one in record.attached if one.kind != "messages"]
    images: list[Image] = []
    if isinstance(surface, ContextReader):
        try:
            async with asyncio.timeout(READ_SECONDS):
                if context.settings.has_model:
                    await _read_thread_above(context, attempt, surface, record, known)
                await _read_files(context, attempt, surface, known, images)
        except TimeoutError:
            attempt.journal.notes.append(user_messages.READ_TOO_SLOWLY)
    if not known and not images:
        return Attachments()
    attempt.journal.timings_ms["attachments"] = context.since(start)
    fitted = fit(known, int(context.share(SHARE)), context.count, tuple(images))
    if context.settings.has_model:
        return Attachments(fitted)
    question = attempt.turn.question
    passages = attachment_quotes.passages(question, known) or attachment_quotes.passages(query, known)
    return Attachments(fitted, passages, _own_files(known))


def _own_files(known: Sequence[StoredAttachment]) -> tuple[str, ...]:
    return tuple(one.name for one in known if one.own and one.kind == "file" and one.text)


async def _read_thread_above(
    context: Context, attempt: Attempt, surface: ContextReader, record: TurnRecord, known: list[StoredAttachment]
) -> None:
    history = record.history
    if history.messages or history.summary or any(one.kind == "thread" for one in known):
        return
    turn = attempt.turn
    try:
        above = await surface.above()
    except (ParleyError, OSError) as error:
        log.warning("turn %s: the thread above was not read: %s", turn.id, for_operator(error))
        attempt.journal.notes.append(user_messages.NOT_READ_ABOVE)
        return
    if above is None:
        return
    found = StoredAttachment(
        turn.id,
        THREAD_ABOVE,
        "thread",
        "thread",
        text=storable(above.text[-FILE_CHARS:]),
        people=above.people,
        own=True,
    )
    await context.stores.attachments.keep_attachment(turn, found)
    known.insert(0, found)


async def _read_files(
    context: Context, attempt: Attempt, surface: ContextReader, known: list[StoredAttachment], images: list[Image]
) -> None:
    """Read the question's unread files. Text is stored; images are fetched again if the turn runs again."""
    surplus_images = 0
    unread = [(at, one) for at, one in enumerate(known) if one.own and one.kind == "file" and one.text is None]
    for at, file in unread[:MAX_FILES]:
        try:
            content = await _read_file(context, surface, file)
        except (ParleyError, KnowledgeError, OSError) as error:
            attempt.journal.notes.append(user_messages.not_read(file.name, str(error)))
            continue
        if isinstance(content, Image):
            if len(images) < MAX_IMAGES:
                images.append(content)
            else:
                surplus_images += 1
            continue
        known[at] = replace(file, text=content.text[:FILE_CHARS])
        attempt.journal.notes += user_messages.warnings_of(file.name, content.warnings)
        await context.stores.attachments.keep_attachment(attempt.turn, known[at])
    if left_out := surplus_images + max(0, len(unread) - MAX_FILES):
        attempt.journal.notes.append(user_messages.more_files(left_out))


async def _read_file(context: Context, surface: ContextReader, file: StoredAttachment) -> FileText | Image:
    limit = context.settings.max_file_mb
    if file.size > limit * 1_000_000:
        raise ParleyError(f"it is larger than {limit} MB")
    if context.reader is None:
        raise ParleyError("files cannot be read here")
    return await context.reader(file.name, file.content_type, await surface.fetch(file))
