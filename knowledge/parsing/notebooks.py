"""Parses Jupyter notebooks: Markdown cells with their headings, code cells, and the text of outputs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from knowledge.parsing import markdown
from knowledge.parsing.document_builder import Builder, ParsedDocument

_ESCAPES = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_HEADING_MARK = re.compile(r"^#{1,6}\s+")
MAX_OUTPUT = 20_000
"""Characters of one output that are read."""


def is_notebook(value: Any) -> bool:
    """Return whether the JSON value is a notebook of format 4, or of format 3 with worksheets."""
    return isinstance(value, dict) and isinstance(value.get("nbformat"), int) and bool(_cells(value))


def parse(notebook: dict[str, Any]) -> ParsedDocument:
    """Parse a notebook for which ``is_notebook`` is true. Pictures and other data in outputs are left out."""
    builder = Builder()
    for cell in _cells(notebook):
        source = _joined(cell.get("source", cell.get("input")))
        if cell.get("cell_type") == "code":
            builder.add("code", source)
            for output in _outputs(cell):
                builder.add("paragraph", output[:MAX_OUTPUT])
        elif cell.get("cell_type") == "heading":
            builder.heading(int(cell.get("level", 1)), source)
        else:
            _add_markdown(builder, source)
    return builder.build()


def _add_markdown(builder: Builder, source: str) -> None:
    parsed = markdown.parse(source)
    for block in parsed.blocks:
        text = parsed.text[block.start : block.end]
        marks = _HEADING_MARK.match(text)
        if block.kind == "heading":
            level = len(marks.group().strip()) if marks else len(block.heading) + 1
            builder.heading(level, _HEADING_MARK.sub("", text).split("\n")[0])
        else:
            builder.add(block.kind, text)


def _cells(notebook: dict[str, Any]) -> list[dict[str, Any]]:
    sheets = notebook.get("worksheets")
    holders = [notebook, *(sheets if isinstance(sheets, list) else [])]
    found = [holder.get("cells") for holder in holders if isinstance(holder, dict)]
    return [cell for cells in found if isinstance(cells, list) for cell in cells if isinstance(cell, dict)]


def _outputs(cell: dict[str, Any]) -> Iterator[str]:
    outputs = cell.get("outputs")
    for output in outputs if isinstance(outputs, list) else []:
        if not isinstance(output, dict):
            continue
        data = output.get("data")
        shown = data.get("text/plain") if isinstance(data, dict) else output.get("text")
        if output.get("output_type") in ("error", "pyerr"):
            shown = f"{output.get('ename', 'Error')}: {output.get('evalue', '')}"
        yield _ESCAPES.sub("", _joined(shown))


def _joined(text: Any) -> str:
    return "".join(map(str, text)) if isinstance(text, list) else str(text or "")
