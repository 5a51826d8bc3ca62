"""Writes raised text so that it keeps its meaning: the power in ``10^6`` is no last digit of 106.

Parsers find raised text piece by piece. They mark each piece, and write the marks out once the line is complete.
"""

from __future__ import annotations

import re

_BEGIN, _END = "\ufdd0", "\ufdd1"
"""Two of the characters that Unicode keeps for the use inside of a program. No text has them."""
_MARKED = re.compile(f"{_BEGIN}([^{_BEGIN}{_END}]*){_END}")
_JOINED = re.compile(r"[^\W\d_]{2,}\.?|[eoaº°®™©*†‡]+|\[.*\]")
"""Raised text that is read as it stands: endings of ordinals, signs, and marks of notes in brackets."""


def superscript(text: str) -> str:
    """Return raised text: ``^6`` for a power or the number of a note, but ``st`` and ``[2]`` as they are."""
    return text if not text or _JOINED.fullmatch(text) else f"^{text}"


def marked(text: str) -> str:
    """Mark a piece of raised text. Pieces side by side are one superscript."""
    return f"{_BEGIN}{text}{_END}" if text.strip() else text


def written(line: str) -> str:
    """Return a line with its marked pieces written as superscripts. A piece that begins the line stays as it is."""
    joined = line.replace(_END + _BEGIN, "")
    return _MARKED.sub(lambda found: superscript(found[1]) if found.start() else found[1], joined)
