"""Shortens a text for a reply, and sends the whole of it as a file."""

from __future__ import annotations

import re

from bot.commands import docs_user_messages
from bot.commands.base import File

SHOWN_CHARS = 1500
"""Characters of a document's text that a reply shows. A longer text comes as a file as well."""
MAX_NAME_CHARS = 80
_NOT_IN_NAMES = re.compile(r"[^\w .()+-]+")
"""All but letters, digits and a few marks: file systems and platforms refuse some of these in file names."""


def excerpt(text: str, name: str) -> tuple[str, File | None]:
    """Return the text, or its beginning and a file with the whole of it. The file is named after ``name``."""
    if len(text) <= SHOWN_CHARS:
        return text, None
    file = File(f"{_as_file_name(name)}.txt", text.encode(), "text/plain")
    return f"{text[:SHOWN_CHARS]} […]\n\n{docs_user_messages.rest_in_file(len(text), file.name)}", file


def _as_file_name(name: str) -> str:
    return _NOT_IN_NAMES.sub("-", name)[:MAX_NAME_CHARS].strip(" .-") or "document"
