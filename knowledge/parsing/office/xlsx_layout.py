"""Reads what a worksheet has beside its values: hidden rows and columns, merged cells, comments, text boxes, charts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from openpyxl.utils.cell import coordinate_to_tuple, range_boundaries

from knowledge.parsing.office.ooxml_package import Package, attribute, children, descendants, local_name, parse_events
from knowledge.whole_numbers import whole_number

MAX_MERGED = 100_000
"""Merged ranges that are read of a sheet."""
_THREADED = re.compile(r"\A\[Threaded comment\].*?\n(?:Comment|Kommentar|[^\n:]{1,30}):\s*", re.S)
_TRUE = ("1", "true")


class Merge(NamedTuple):
    """A merged range of cells, by its first and last column and row, from 1."""

    left: int
    top: int
    right: int
    bottom: int


@dataclass(slots=True)
class SheetLayout:
    """The layout of one sheet."""

    hidden_rows: set[int] = field(default_factory=set)
    hidden_columns: list[tuple[int, int]] = field(default_factory=list)
    """The first and last column of each hidden run, from 1."""
    merges: list[Merge] = field(default_factory=list)

    def is_hidden(self, row: int, column: int) -> bool:
        """Return whether a cell stands in a hidden row or column."""
        return row in self.hidden_rows or any(first <= column <= last for first, last in self.hidden_columns)


def read_layout(package: Package, part: str) -> SheetLayout:
    """Read the layout of a sheet from its part. Raises one of ``PACKAGE_ERRORS`` if the part is damaged."""
    layout = SheetLayout()
    for element in parse_events(package, part, ("row", "col", "mergeCell")):
        name = local_name(element)
        hidden = attribute(element, "hidden") in _TRUE
        if name == "row" and hidden and (row := whole_number(attribute(element, "r"))) is not None:
            layout.hidden_rows.add(row)
        elif name == "col" and hidden:
            first, last = (whole_number(attribute(element, end)) for end in ("min", "max"))
            layout.hidden_columns += [(first, last)] if first and last else []
        elif name == "mergeCell" and len(layout.merges) < MAX_MERGED:
            layout.merges += _merges(attribute(element, "ref"))
    return layout


def _merges(reference: str) -> Iterator[Merge]:
    """Yield the merged range that a reference such as ``A1:B2`` names; nothing if it is damaged or has no end."""
    with suppress(ValueError, TypeError):
        boundaries = range_boundaries(reference)
        if all(boundaries):
            yield Merge(*boundaries)


def read_comments(package: Package, part: str) -> Iterator[tuple[tuple[int, int], str]]:
    """Yield the row and column, from 1, and the text of each comment on a sheet."""
    for name in package.related(part, "comments"):
        for comment in descendants(package.xml(name), "comment"):
            text = "".join(t.text or "" for t in descendants(comment, "t"))
            yield coordinate_to_tuple(attribute(comment, "ref")), _THREADED.sub("", text).strip()


def read_drawings(package: Package, part: str) -> Iterator[tuple[str, list[str]]]:
    """Yield the part of each drawing on a sheet with the parts of its charts and diagrams."""
    for name in package.related(part, "drawing"):
        links = package.relationships(name)
        wanted = [r.target for r in links.values() if r.kind in ("chart", "chartEx", "diagramData")]
        yield name, [target for target in wanted if target in package.names]


def text_boxes(drawing: Any) -> Iterator[Any]:
    """Yield the text body of each shape of a drawing."""
    for shape in descendants(drawing, "sp"):
        yield from children(shape, "txBody")
