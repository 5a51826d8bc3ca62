"""Adds pages whose text was recognized in a picture (OCR) to a document, each marked with how sure the models are."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from knowledge.parsing.document_builder import Builder
from knowledge.parsing.ocr.text_recognition import INSTALL, Recognizer

if TYPE_CHECKING:
    import numpy as np

MARK = "Read by OCR"
MAX_NAMED_PAGES = 20


@dataclass(slots=True)
class RecognizedPages:
    """Reads pages with a recognizer, or records which pages could not be read."""

    builder: Builder
    recognizer: Recognizer | None
    recognized: list[tuple[int, int]] = field(default_factory=list)
    """Page numbers, and the certainty in percent."""
    unread: list[int] = field(default_factory=list)
    empty: list[int] = field(default_factory=list)

    def add(self, picture: np.ndarray[Any, Any] | None, number: int) -> None:
        """Add the text of a page under a heading that marks it. ``picture`` is None if the page cannot be drawn."""
        found = self.recognizer.read(picture) if self.recognizer is not None and picture is not None else None
        if found is None:
            self.unread.append(number)
        elif not found.lines:
            self.empty.append(number)
        else:
            self.recognized.append((number, found.percent))
            with self.builder.section(f"{MARK}, {found.percent} % sure"):
                self.builder.add("paragraph", "\n".join(found.lines))

    def warn(self) -> None:
        """Record as warnings which pages were recognized, and which have no text that could be read."""
        if self.recognized:
            least = min(percent for _, percent in self.recognized)
            named = _named([number for number, _ in self.recognized])
            self.builder.warn(f"{named} read by OCR, at least {least} % sure. Check figures and names in the original")
        if self.empty:
            self.builder.warn(f"{_named(self.empty)} without text, also in pictures")
        if self.unread:
            instead = INSTALL if self.recognizer is None else "Split the file to read scans"
            self.builder.warn(f"{_named(self.unread)} without text left out. {instead}")


def _named(pages: list[int]) -> str:
    more = " and more" if len(pages) > MAX_NAMED_PAGES else ""
    return f"{'page' if len(pages) == 1 else 'pages'} {', '.join(map(str, pages[:MAX_NAMED_PAGES]))}{more}"
