"""Port to the parser of attached files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from bot.engine.ports.llm import Image


@dataclass(frozen=True, slots=True)
class FileText:
    """The text of a file. ``warnings`` are sentences without a full stop about what was left out of it."""

    text: str
    warnings: tuple[str, ...] = ()


class AttachmentReader(Protocol):
    """Turns a file's bytes into text or an image. Raises ParseError or UsageError with one line."""

    async def __call__(self, name: str, content_type: str, data: bytes) -> FileText | Image: ...

    def tokens(self, image: Image, model: str) -> int:
        """Return the tokens that the model bills for the image."""
