"""Port to the parser of attached files."""

from __future__ import annotations

from typing import Protocol

from bot.engine.ports.llm import Image


class AttachmentReader(Protocol):
    """Turns a file's bytes into text or an image. Raises ParseError or UsageError with one line."""

    async def __call__(self, name: str, content_type: str, data: bytes) -> str | Image: ...

    def tokens(self, image: Image, model: str) -> int:
        """Return the tokens that the model bills for the image."""
