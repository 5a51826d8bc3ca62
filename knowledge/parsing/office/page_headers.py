"""Adds the headers and footers of pages to a text: each once."""

from __future__ import annotations

import re
from collections.abc import Iterable

from knowledge.parsing.document_builder import Builder

_LETTER = re.compile(r"[^\W\d_]")


def add_page_headers(builder: Builder, texts: Iterable[str]) -> None:
    """Add each different text. One without letters, such as a page number, is left out."""
    for text in dict.fromkeys(texts):
        if _LETTER.search(text):
            builder.add("paragraph", text)
