"""What stands beside the question: attached files and images, and the thread above it where the bot is called in late.

All of it was written by people or by their tools, so it is data for the answer and never an instruction.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace

from bot.engine import user_messages
from bot.engine.answer import attachment_passages
from bot.engine.answer.attachment_text import shown
from bot.engine.answer.context import Context
from bot.engine.answer.run import Run
from bot.engine.ports.llm import Image
from bot.engine.ports.surface import ContextReader, Surface
from bot.errors import ParleyError
from bot.types.conversation import History, StoredAttachment
from bot.types.turns import TurnRecord
from knowledge.errors import KnowledgeError

log = logging.getLogger(__name__)

SHARE = 2000 / 8000
"""Of the prompt, for what stands beside the question."""
FILES = 8
"""Files of one question that are read."""
IMAGES = 4
FILE_CHARS = 60_000
"""Of one file, kept for the thread."""
SECONDS = 45.0
"""For all files of a question, and for the thread above it."""
ABOVE = -1
"""The position of the thread above among what stands beside a turn."""


async def beside(context: Context, run: Run, surface: Surface, brief: TurnRecord) -> None:
    """Read what was not read before, and keep it with the thread. What cannot be read is told in a note."""
    start, history = context.monotonic(), brief.history
    known = list(brief.attached)
    images: list[Image] = []
    if isinstance(surface, ContextReader):
        try:
            async with asyncio.timeout(SECONDS):
                if context.settings.has_model:
                    await _thread_above(context, run, surface, history, known)
                await _files(context, run, surface, known, images)
        except TimeoutError:
            run.notes.append(user_messages.READ_TOO_SLOWLY)
    if not known and not images:
        return
    run.beside = shown(known, int(context.share(SHARE)), context.count, tuple(images))
    if not context.settings.has_model:
        run.attached = attachment_passages.passages(run.turn.question, known) or attachment_passages.passages(
            run.query, known
        )
        run.read = _read(known)
    run.timings_ms["attachments"] = context.since(start)


def _read(known: Sequence[StoredAttachment]) -> tuple[str, ...]:
    """The names of the question's own files that were read."""
    return tuple(one.name for one in known if one.own and one.kind == "file" and one.text)


async def _thread_above(
    context: Context, run: Run, surface: ContextReader, history: History, known: list[StoredAttachment]
) -> None:
    if history.messages or history.summary or any(one.kind == "thread" for one in known):
        return
    try:
        above = await surface.above()
    except (ParleyError, OSError) as error:
        log.warning("turn %s: the thread above was not read: %s", run.turn.id, error)
        run.notes.append(user_messages.NOT_READ_ABOVE)
        return
    if above is None:
        return
    found = StoredAttachment(
        run.turn.id, ABOVE, "thread", "thread", text=above.text[-FILE_CHARS:], people=above.people, own=True
    )
    await context.store.keep_attachment(run.turn, found)
    known.insert(0, found)


async def _files(
    context: Context, run: Run, surface: ContextReader, known: list[StoredAttachment], images: list[Image]
) -> None:
    """Text is kept; of images only the reference is, and they are fetched again where the turn is run again."""
    unread = [(at, one) for at, one in enumerate(known) if one.own and one.kind == "file" and one.text is None]
    for at, file in unread[:FILES]:
        try:
            content = await _content(context, surface, file)
        except (ParleyError, KnowledgeError, OSError) as error:
            run.notes.append(user_messages.not_read(file.name, str(error)))
            continue
        if isinstance(content, Image):
            if len(images) < IMAGES:
                images.append(content)
            continue
        known[at] = replace(file, text=content[:FILE_CHARS])
        await context.store.keep_attachment(run.turn, known[at])
    if len(unread) > FILES:
        run.notes.append(user_messages.more_files(len(unread) - FILES))


async def _content(context: Context, surface: ContextReader, file: StoredAttachment) -> str | Image:
    most = context.settings.max_file_mb
    if file.size > most * 1_000_000:
        raise ParleyError(f"it is larger than {most} MB")
    if context.reader is None:
        raise ParleyError("files cannot be read here")
    return await context.reader(file.name, file.content_type, await surface.fetch(file))
