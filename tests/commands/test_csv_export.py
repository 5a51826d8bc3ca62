"""CSV files hold no text that a spreadsheet runs as a formula."""

from __future__ import annotations

import csv
import io

import pytest

from bot.commands import csv_export
from bot.commands.base import Table


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", " =", "\u00a0@", "＝", "＋", "－", "＠"])
def test_text_that_starts_like_a_formula_gets_a_leading_quote(start: str) -> None:
    text = f'{start}HYPERLINK("https://evil.example","click")'
    table = Table((text, "n"), [(text, 1), ("fine", -2.5), (None, 3)])
    rows = list(csv.reader(io.StringIO(table.csv().decode(), newline="")))
    assert rows == [[f"'{text}", "n"], [f"'{text}", "1"], ["fine", "-2.5"], ["", "3"]]


def test_other_text_stays_as_it_is() -> None:
    assert csv_export.inert("a=b") == "a=b"
    assert csv_export.inert(-3) == -3
    assert csv_export.inert("") == ""


def test_a_spreadsheet_that_separates_cells_by_semicolons_finds_no_formula() -> None:
    text = 'harmless;=HYPERLINK("https://evil.example","click")'
    (row,) = csv.reader(io.StringIO(csv_export.text((text,), []), newline=""), delimiter=";")
    assert row == [text]
