"""The options of a parser: what of a file it may read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from knowledge.parsing.ocr.text_recognition import Recognizer

MAX_UNPACKED = 300 * 1024 * 1024
"""Bytes that a ZIP archive may unpack to, unless the operator sets another limit."""
RECOGNIZED_PAGES = 200
"""Pages and pictures of a file whose text is recognized."""


@dataclass(frozen=True, slots=True)
class ParseOptions:
    """What a parser reads of a file and of the files attached to it.

    ``include_hidden`` adds what Office files hide: sheets, rows, columns, deleted text, comments and notes of slides.
    ``private_chats`` reads private channels of chat exports, for a document that only one channel will find.
    ``earlier_mails`` are mails of the same thread, oldest first, that a mail may quote; each may lack its end.
    ``max_unpacked`` is the number of bytes that an archive may unpack to. ``recognized_pages`` is how many scanned
    pages are read; ``recognizer`` reads them, where the extra for it is installed.
    """

    include_hidden: bool = False
    private_chats: bool = False
    max_unpacked: int = MAX_UNPACKED
    recognized_pages: int = RECOGNIZED_PAGES
    recognizer: Recognizer | None = None
    earlier_mails: Sequence[bytes] = ()


NO_OPTIONS = ParseOptions()
