"""Tables as Discord can show them: it has none, so they become aligned code blocks. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

CELL_CHARS = 40
FENCE = "```"

_FENCED = re.compile(r"(```.*?(?:```|\Z))", re.DOTALL)
_TABLE = re.compile(r"(?m)^\|?[^\n|]*\|[^\n]*\n[ ]*\|?[ ]*:?-+:?[ ]*(?:\|[ ]*:?-+:?[ ]*)*\|?[ ]*(?:\n[^\n]*\|[^\n]*)*")


def block(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """An aligned code block; numbers stand right, long cells are shortened."""
    cells = [[_cell(value) for value in row] for row in (columns, *rows)]
    widths = [max(_width(row[index]) for row in cells) for index in range(len(columns))]
    right = [bool(rows) and all(isinstance(row[index], int | float) for row in rows) for index in range(len(columns))]
    lines = [_line(row, widths, right) for row in cells]
    rule = "  ".join("-" * width for width in widths)
    return "\n".join([FENCE, lines[0], rule, *lines[1:], FENCE])


def as_code(text: str, room: int) -> str:
    """Markdown with its pipe tables as code blocks, as far as the text stays within ``room`` characters."""
    pieces = _FENCED.split(text)
    spare = room - len(text)
    for index in range(0, len(pieces), 2):
        pieces[index], spare = _convert(pieces[index], spare)
    return "".join(pieces)


def _convert(text: str, spare: int) -> tuple[str, int]:
    def swap(found: re.Match[str]) -> str:
        nonlocal spare
        shown = _from_markdown(found[0])
        growth = len(shown) - len(found[0])
        if growth > spare:
            return found[0]
        spare -= growth
        return shown

    return _TABLE.sub(swap, text), spare


def _from_markdown(table: str) -> str:
    head, _, *body = table.split("\n")
    columns = _split(head)
    rows = [(_split(line) + [""] * len(columns))[: len(columns)] for line in body]
    return block(columns, rows)


def _split(line: str) -> list[str]:
    inner = line.strip().removeprefix("|").removesuffix("|")
    return [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", inner)]


def _cell(value: object) -> str:
    if value is None:
        return "-"
    text = f"{value:,}" if isinstance(value, int) else f"{value:,.4g}" if isinstance(value, float) else str(value)
    text = " ".join(text.replace(FENCE, "'''").split())
    return text if len(text) <= CELL_CHARS else text[: CELL_CHARS - 1] + "…"


def _line(row: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    cells = []
    for text, width, to_right in zip(row, widths, right, strict=True):
        gap = " " * (width - _width(text))
        cells.append(gap + text if to_right else text + gap)
    return "  ".join(cells).rstrip()


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)
