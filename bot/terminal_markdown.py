"""Shows the bold words of Markdown in bold on a terminal. The rest of the Markdown stays as it is written."""

from __future__ import annotations

import os
import re
from typing import IO

_BOLD = re.compile(r"\*\*(?=\S)(.+?)(?<=\S)\*\*")


def shows_bold(out: IO[str]) -> bool:
    """Return whether the output is a terminal that can show bold words."""
    return out.isatty() and os.environ.get("TERM") != "dumb"


def with_bold(text: str, *, in_code: bool = False) -> str:
    """Return Markdown with its bold words in bold for a terminal. ``in_code``: it starts in a code block."""
    lines = []
    for line in text.split("\n"):
        fence = line.lstrip().startswith("```")
        in_code ^= fence
        lines.append(line if in_code or fence else _BOLD.sub("\x1b[1m\\1\x1b[22m", line))
    return "\n".join(lines)


def is_in_code(text: str) -> bool:
    """Return whether the text ends inside a code block."""
    return sum(line.lstrip().startswith("```") for line in text.split("\n")) % 2 == 1
