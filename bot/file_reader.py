"""Reads files attached to questions: text with the sandboxed parser, images in the form that models accept."""

from __future__ import annotations

from functools import partial
from itertools import chain

from bot.engine.answer.attached_context import FILE_CHARS
from bot.engine.ports.attachment_reader import FileText
from bot.engine.ports.llm import Image
from bot.llm.providers import images
from knowledge.parsing.isolation.sandbox import Parser
from knowledge.parsing.mail_attachments import AttachmentLimits, parse_all
from knowledge.parsing.parse_options import MAX_UNPACKED
from knowledge.types.source_items import Fetched

PARSE_TIMEOUT = 20.0
"""Timeout for one file, and for each scanned page of it, in seconds."""
ATTACHMENTS_TIMEOUT = 20.0
"""Seconds after which no further file that is attached to a mail is read."""
RECOGNIZED_PAGES = 3
"""Scanned pages that are read of a file, since the user waits for the answer."""


class FileReader:
    """Implements the engine's AttachmentReader. Owns the parser's process, which starts with the first file.

    ``max_unpacked`` is the number of bytes that an archive may unpack to.
    """

    def __init__(self, *, max_unpacked: int = MAX_UNPACKED) -> None:
        self._parser = Parser(seconds=PARSE_TIMEOUT, max_unpacked=max_unpacked, recognized_pages=RECOGNIZED_PAGES)

    async def __call__(self, name: str, content_type: str, data: bytes) -> FileText | Image:
        """Return the beginning of the text, or the image, in a file. Raises ParseError, UsageError.

        The text of a mail is followed by those of the files attached to it, until the text or the time suffices.
        """
        if content_type.startswith("image/"):
            return images.read(data, name)
        parse = partial(self._parser.parse, max_chars=FILE_CHARS)
        limits = AttachmentLimits(chars=FILE_CHARS, seconds=ATTACHMENTS_TIMEOUT, warns=True)
        document, *attached = await parse_all(parse, Fetched(name, data, content_type=content_type), limits)
        texts = (document.text, *(f"{one.title}\n\n{one.text}" for one in attached))
        warnings = chain(document.warnings, *(one.warnings for one in attached))
        return FileText("\n\n".join(texts)[:FILE_CHARS], tuple(warnings))

    def tokens(self, image: Image, model: str) -> int:
        """Return the tokens that the model is billed for an image."""
        return images.tokens(image, model)

    async def aclose(self) -> None:
        """Stop the parser's process."""
        await self._parser.aclose()
