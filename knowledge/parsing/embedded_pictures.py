"""Reads the text in pictures inside Office documents (OCR), where the extra for it is installed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from knowledge.errors import ParseError
from knowledge.parsing import image
from knowledge.parsing.document_builder import Builder
from knowledge.parsing.ocr.recognized_pages import MARK
from knowledge.parsing.ocr.text_recognition import INSTALL, Recognizer
from knowledge.text.counted_nouns import counted

MIN_WIDTH, MIN_HEIGHT = 150, 40
"""Pixels of a picture that is looked at. Smaller ones are icons and lines."""


@dataclass(slots=True)
class EmbeddedPictures:
    """Adds the text of each picture of one document where it stands. A picture that comes again is read once."""

    builder: Builder
    recognizer: Recognizer | None
    _seen: set[bytes] = field(default_factory=set)
    _percents: list[int] = field(default_factory=list)
    _unread: int = 0

    def add(self, data: bytes) -> None:
        """Add the text in a picture under a heading that marks it. One in an unknown form is left out."""
        digest = hashlib.sha256(data).digest()
        if digest in self._seen:
            return
        self._seen.add(digest)
        try:
            pixels = image.pixels_of(data, MIN_WIDTH, MIN_HEIGHT)
        except ParseError:
            return
        if pixels is None:
            return
        found = self.recognizer.read(pixels) if self.recognizer is not None else None
        if found is None:
            self._unread += 1
        elif found.lines:
            self._percents.append(found.percent)
            with self.builder.section(f"{MARK}, {found.percent} % sure"):
                self.builder.add("paragraph", "\n".join(found.lines))

    def warn(self) -> None:
        """Record as warnings how many pictures were recognized, and how many could not be read."""
        if self._percents:
            self.builder.warn(
                f"{counted(len(self._percents), 'picture')} read by OCR, at least {min(self._percents)} % sure. "
                "Check figures and names in the original"
            )
        if self._unread:
            instead = INSTALL if self.recognizer is None else "Split the file to read them"
            self.builder.warn(f"{counted(self._unread, 'picture')} left out, which may hold text. {instead}")
