"""Shows what the parsers read of files: ``/docs preview`` in chat, and the JSON document of ``parley parse``.

Nothing is stored.
"""

from __future__ import annotations

from pathlib import PurePath
from typing import Any

from bot.commands import docs_user_messages, ingest_user_messages
from bot.commands.base import Context, File, Reply
from bot.commands.text_excerpt import excerpt
from bot.errors import ParleyError, UsageError
from bot.types.conversation import Attachment
from knowledge.errors import ParseError
from knowledge.metadata import FORMAT
from knowledge.parsing.mail_attachments import AttachmentLimits
from knowledge.types.documents import Document
from knowledge.types.source_items import Fetched

MAX_FILES = 5


def as_json_document(document: Document) -> dict[str, Any]:
    """Return a parsed document as JSON: format, title, metadata, text, blocks and warnings.

    A block has its ``kind``, the path of headings above it, its ``page`` from 1 (or null) and its ``text``.
    """
    return {
        "format": document.metadata.get(FORMAT, ""),
        "title": document.title,
        "metadata": dict(document.metadata),
        "text": document.text,
        "blocks": [
            {
                "kind": block.kind,
                "heading": list(block.heading),
                "page": block.page,
                "text": document.text[block.start : block.end],
            }
            for block in document.blocks
        ],
        "warnings": list(document.warnings),
    }


async def preview(context: Context) -> Reply:
    """Parse the attached files and show the beginning of each text. Raises UsageError if nothing is attached.

    What is attached to a mail is shown after it, so far as the number of files allows.

    The reply carries the whole text of the first file that is longer than what is shown.
    """
    if not context.attachments:
        raise UsageError(docs_user_messages.PREVIEW_NEEDS_FILE)
    shown: list[tuple[str, File | None]] = []
    for attachment in context.attachments[:MAX_FILES]:
        if len(shown) == MAX_FILES:
            break
        shown += await _previews(context, attachment, MAX_FILES - len(shown))
    file = next((file for _, file in shown if file is not None), None)
    return Reply("\n\n".join(text for text, _ in shown), file=file)


async def _previews(context: Context, attachment: Attachment, most: int) -> list[tuple[str, File | None]]:
    """Return at most ``most`` previews: of a file and of what is attached to it.

    Each has its text as a file if that is longer than the preview.
    """
    name, services = attachment.name, context.services
    if attachment.size > services.max_file_bytes:
        too_large = ingest_user_messages.too_large(services.settings.max_file_mb)
        return [(docs_user_messages.no_preview(name, too_large), None)]
    try:
        fetched = Fetched(name, await attachment.read(), content_type=attachment.content_type)
        documents = await services.ingestor.read(fetched, AttachmentLimits(documents=most - 1))
    except (ParseError, ParleyError) as error:
        return [(docs_user_messages.no_preview(name, str(error)), None)]
    return [_preview(document) for document in documents]


def _preview(document: Document) -> tuple[str, File | None]:
    name = document.uri
    form = document.metadata.get(FORMAT, "")
    heading = docs_user_messages.preview(name, document.title, form, len(document.blocks), document.warnings)
    text, file = excerpt(document.text, PurePath(name).stem)
    return f"{heading}\n\n{text}", file
