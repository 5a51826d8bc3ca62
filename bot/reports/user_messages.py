"""Texts about files that reports read."""

from __future__ import annotations

from collections.abc import Sequence

MOST_COLUMNS = 8


def unknown_export(columns: Sequence[str], understood: Sequence[str]) -> str:
    listed = ", ".join(columns[:MOST_COLUMNS]) + (", ..." if len(columns) > MOST_COLUMNS else "")
    return (
        f"This export has columns that are not understood: {listed or 'none'}. "
        f"Export one of these as CSV: {', '.join(understood)}."
    )


def unreadable_line(line: int) -> str:
    return f"Line {line} of the export has no readable day or amount. Export it again, or correct the line."


def no_csv(reason: str) -> str:
    return f"The export is not CSV in UTF-8 ({reason}). Export it again as CSV."
