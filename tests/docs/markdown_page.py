"""Parses a Markdown page into what the documentation checks read: code, links and anchors."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

FENCE = re.compile(r"^\s*(```+|~~~+)(\w*)")
HEADING = re.compile(r"^(#{1,6})\s+(.*?)\s*#*$")
CODE_SPAN = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)")
LINK = re.compile(r"!?\[(?:[^\[\]]|\[[^\[\]]*\])*\]\(\s*<?([^)<>\s]+)>?(?:\s+\"[^\"]*\")?\s*\)")


@dataclass(frozen=True, slots=True)
class Code:
    """A code span, or one line of a code block with the block's language."""

    line: int
    text: str
    language: str | None = None


@dataclass(slots=True)
class Page:
    """A Markdown page, split into what the checks read."""

    path: Path
    code: list[Code] = field(default_factory=list)
    links: list[tuple[int, str]] = field(default_factory=list)
    anchors: set[str] = field(default_factory=set)


def parse(text: str, path: Path) -> Page:
    """Parse a page into code, links and anchors."""
    page = Page(path)
    fence = language = ""
    seen: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        marker = FENCE.match(line)
        if marker and (not fence or marker[1].startswith(fence)):
            fence, language = ("", "") if fence else (marker[1], marker[2])
        elif fence:
            page.code.append(Code(number, line, language))
        else:
            if heading := HEADING.match(line):
                page.anchors.add(_unique(slug(heading[2]), seen))
            page.code += [Code(number, span[2].strip()) for span in CODE_SPAN.finditer(line)]
            prose = CODE_SPAN.sub(lambda span: "`" * len(span[0]), line)
            page.links += [(number, link[1]) for link in LINK.finditer(prose)]
    return page


def slug(heading: str) -> str:
    """Return the anchor of a heading as GitHub makes it."""
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading.replace("`", "").replace("*", ""))
    return re.sub(r"[^\w\- ]", "", text.lower()).strip().replace(" ", "-")


def _unique(anchor: str, seen: dict[str, int]) -> str:
    count = seen[anchor] = seen.get(anchor, -1) + 1
    return f"{anchor}-{count}" if count else anchor
