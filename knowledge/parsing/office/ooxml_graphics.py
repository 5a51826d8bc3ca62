"""Reads the text of charts and of SmartArt diagrams in Office documents."""

from __future__ import annotations

from typing import Any

from knowledge.errors import ParseError
from knowledge.parsing.csv_tables import add_rows
from knowledge.parsing.document_builder import Builder
from knowledge.parsing.office.ooxml_package import PACKAGE_ERRORS, Package, attribute, child, children, descendants
from knowledge.whole_numbers import whole_number

_CONNECTIONS = ("parTrans", "sibTrans", "pres")
"""Kinds of points of a diagram that hold no text of the author."""
MAX_POINTS = 10_000
"""Values that are read of a chart."""


def add_graphic(builder: Builder, package: Package, part: str) -> None:
    """Add the text of a chart or diagram part: its title, then its data as a table or its entries as a list.

    A part that is missing or damaged is left out, and a warning names it; the other parts are read.
    """
    try:
        root = package.xml(part)
    except (*PACKAGE_ERRORS, ParseError):
        builder.warn("a chart or diagram is damaged and was left out")
        return
    if child(root, "ptLst") is not None:
        builder.add("list", "\n".join(f"- {line}" for line in _diagram_lines(root)))
    else:
        builder.add("paragraph", "\n".join(_titles(root)))
        add_rows(builder, _chart_rows(root))


def rich_text(element: Any) -> str:
    """Return the text of a DrawingML element, a line for each paragraph."""
    lines = ("".join(t.text or "" for t in descendants(p, "t")).strip() for p in descendants(element, "p"))
    return "\n".join(line for line in lines if line)


def _diagram_lines(root: Any) -> list[str]:
    points = (p for p in children(child(root, "ptLst"), "pt") if attribute(p, "type") not in _CONNECTIONS)
    return [" ".join(text.split()) for point in points if (text := rich_text(point))]


def _titles(root: Any) -> list[str]:
    """Return the title of the chart and of its axes."""
    return [" ".join(text.split()) for title in descendants(root, "title") if (text := rich_text(title))]


def _chart_rows(root: Any) -> list[list[str]]:
    """Return the data of the chart: a header with the names of the series, then a row for each category."""
    series = list(descendants(root, "ser"))
    names = [next((v.text or "" for v in descendants(child(s, "tx"), "v")), "") if child(s, "tx") is not None else ""
             for s in series]  # fmt: skip
    values = [_points(next((e for n in ("val", "yVal") if (e := child(s, n)) is not None), None)) for s in series]
    labels: dict[int, str] = {}
    for s in series:
        labels = _points(next((e for n in ("cat", "xVal") if (e := child(s, n)) is not None), None)) | labels
    places = sorted({place for found in (labels, *values) for place in found})[:MAX_POINTS]
    rows = [[labels.get(place, ""), *(found.get(place, "") for found in values)] for place in places]
    return [["", *names], *rows] if rows else []


def _points(element: Any) -> dict[int, str]:
    """Return the saved values of a series by their place. Numbers are written as short as they are exact."""
    if element is None:
        return {}
    levels = list(descendants(element, "lvl")) or [element]
    found: dict[int, str] = {}
    for level in reversed(levels):
        for point in descendants(level, "pt"):
            place, text = whole_number(attribute(point, "idx")), (getattr(child(point, "v"), "text", "") or "").strip()
            if place is not None and text:
                before = found.get(place)
                found[place] = f"{before} {_number(text)}" if before else _number(text)
    return found


def _number(text: str) -> str:
    try:
        return f"{float(text):.12g}" if "." in text else text
    except ValueError:
        return text
