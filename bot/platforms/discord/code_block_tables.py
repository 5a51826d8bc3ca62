"""Renders tables as aligned code blocks, because Discord has no tables. Does no I/O."""

from __future__ import annotations

import re
import textwrap
import unicodedata
from collections.abc import Sequence
from itertools import groupby, zip_longest

from bot.engine.display.character_filter import visible
from bot.engine.markdown.blocks import is_header
from bot.engine.markdown.inline import scanned
from bot.platforms.discord.dialect import plain_cell
from bot.platforms.discord.text_limits import size

CELL_CHARS = 40
FENCE = "```"

_TABLE = re.compile(r"(?m)^\|?[^\n|]*\|[^\n]*\n[ ]*\|?[ ]*:?-+:?[ ]*(?:\|[ ]*:?-+:?[ ]*)*\|?[ ]*$(?:\n[^\n]*\|[^\n]*)*")


def block(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a table as an aligned code block. Numbers are right-aligned; long cells are shortened."""
    cells = [[_cell(value) for value in row] for row in (columns, *rows)]
    right = [bool(rows) and all(isinstance(row[index], int | float) for row in rows) for index in range(len(columns))]
    return _aligned(cells[:1], cells[1:], right)


def _aligned(headers: Sequence[Sequence[str]], rows: Sequence[Sequence[str]], right: Sequence[bool]) -> str:
    widths = [max(_width(row[index]) for row in (*headers, *rows)) for index in range(len(right))]
    above, below = ([_line(row, widths, right) for row in part] for part in (headers, rows))
    rule = "  ".join("-" * width for width in widths)
    return "\n".join([FENCE, *above, rule, *below, FENCE])


def convert_tables(text: str, limit: int) -> str:
    """Return Markdown with its pipe tables as code blocks, as long as the text fits into ``limit`` characters."""
    spare = limit - size(text)
    shown: list[str] = []
    for in_code, lines in groupby(scanned(text), key=lambda line: line[2] in ("open", "body", "close")):
        piece = "\n".join(line[1] for line in lines)
        piece, spare = (piece, spare) if in_code else _convert(piece, spare)
        shown.append(piece)
    return "\n".join(shown)


def _convert(text: str, spare: int) -> tuple[str, int]:
    def converted(found: re.Match[str]) -> str:
        nonlocal spare
        header, delimiter = found[0].split("\n")[:2]
        if not is_header(header, delimiter):
            return found[0]
        table = _from_markdown(found[0])
        growth = size(table) - size(found[0])
        if growth > spare:
            return found[0]
        spare -= growth
        return table

    return _TABLE.sub(converted, text), spare


def _from_markdown(table: str) -> str:
    """Return a Markdown table as a code block without losing words.

    Long cells wrap to the next line; cells beyond the last column are joined into it.
    """
    header, _, *body = table.split("\n")
    columns = _split(header)
    rows = [line for row in body for line in _wrapped(_fit_columns(_split(row), len(columns)))]
    return _aligned(_wrapped(columns), rows, [False] * len(columns))


def _fit_columns(cells: list[str], count: int) -> list[str]:
    return [*cells[: count - 1], " | ".join(cells[count - 1 :]), *[""] * (count - len(cells))][:count]


def _wrapped(row: Sequence[str]) -> list[tuple[str, ...]]:
    """Return the row as lines whose cells have at most ``CELL_CHARS``, or one longer word such as a URL."""
    cells = [
        textwrap.wrap(
            plain_cell(cell).replace(FENCE, "'''").replace("](", "] ("),
            CELL_CHARS,
            break_long_words=False,
            break_on_hyphens=False,
        )
        for cell in row
    ]
    return list(zip_longest(*cells, fillvalue="")) or [("",) * len(row)]


def _split(line: str) -> list[str]:
    inner = line.strip().removeprefix("|").removesuffix("|")
    return [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", inner)]


def _cell(value: object) -> str:
    if value is None:
        return "-"
    text = f"{value:,}" if isinstance(value, int) else f"{value:,.4g}" if isinstance(value, float) else str(value)
    text = " ".join(visible(text).replace(FENCE, "'''").replace("](", "] (").split())
    return text if len(text) <= CELL_CHARS else text[: CELL_CHARS - 1] + "…"


def _line(row: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    cells = []
    for text, width, to_right in zip(row, widths, right, strict=True):
        gap = " " * (width - _width(text))
        cells.append(gap + text if to_right else text + gap)
    return "  ".join(cells).rstrip()


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)
