"""Files that people attach to questions: text by the parser in its process apart, images as models take them."""

from __future__ import annotations

from bot.engine.ports.llm import Image
from bot.llm import images
from knowledge.parsing.sandbox import Parser
from knowledge.types import Fetched

SECONDS = 20.0


class FileReader:
    """The engine's Reader. It holds the parser's process, which starts when it is needed."""

    def __init__(self) -> None:
        self._parser = Parser(seconds=SECONDS)

    async def __call__(self, name: str, content_type: str, data: bytes) -> str | Image:
        """Raises ParseError or UsageError."""
        if content_type.startswith("image/"):
            return images.read(data, name)
        document = await self._parser.parse(Fetched(name, data, content_type=content_type))
        return document.text

    def tokens(self, image: Image, model: str) -> int:
        """What the model is billed for the image."""
        return images.tokens(image, model)

    async def aclose(self) -> None:
        """End the parser's process."""
        await self._parser.aclose()
