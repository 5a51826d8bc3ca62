"""What an admin page consists of: a heading, choices, tables and a chart, independent of HTML."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode


@dataclass(frozen=True, slots=True)
class Cell:
    """A value of a table. ``path`` leads to the rows behind it, below the page's root. Numbers stand at the right.

    With ``posts``, the value is the label of a button that posts to this path. ``is_good`` colors a state; None does
    not.
    """

    value: object
    path: str = ""
    posts: str = ""
    is_good: bool | None = None

    @property
    def text(self) -> str:
        """The value as people read it. Times are in UTC."""
        if self.value is None:
            return ""
        if isinstance(self.value, datetime):
            return f"{self.value:%Y-%m-%d %H:%M}"
        if isinstance(self.value, float):
            return number(self.value)
        return f"{self.value:,}" if self.is_number else str(self.value)

    @property
    def is_time(self) -> bool:
        """Whether the value is a time."""
        return isinstance(self.value, datetime)

    @property
    def is_number(self) -> bool:
        """Whether the value is a number."""
        return isinstance(self.value, int | float) and not isinstance(self.value, bool)


@dataclass(frozen=True, slots=True)
class Table:
    """A table. ``name`` is unique on its page; ``empty`` is shown if there are no rows."""

    name: str
    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    empty: str

    @property
    def numeric(self) -> Sequence[bool]:
        """Whether each column holds numbers, and otherwise nothing."""
        columns = [[cell for cell in column if cell.text] for column in zip(*self.rows, strict=True)]
        return [bool(column) and all(cell.is_number for cell in column) for column in columns]

    @property
    def plain(self) -> list[list[object]]:
        """The values of the rows, for CSV. Times are in ISO 8601."""
        return [["" if cell.posts else _plain(cell.value) for cell in row] for row in self.rows]


@dataclass(frozen=True, slots=True)
class Choice:
    """A link that changes what the page shows."""

    label: str
    path: str
    chosen: bool


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of the chart."""

    label: str
    value: float
    path: str


@dataclass(frozen=True, slots=True)
class KeyFigure:
    """A number that says most, with its label and the path to the rows behind it."""

    label: str
    text: str
    path: str


@dataclass(frozen=True, slots=True)
class Text:
    """A text below a heading, shown with its line breaks."""

    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a form. ``lines`` is its height; a field of several lines takes the whole width."""

    name: str
    label: str
    value: str = ""
    lines: int = 1


@dataclass(frozen=True, slots=True)
class Form:
    """A form that changes something. It is posted to ``path`` below the page's root."""

    title: str
    path: str
    button: str
    fields: Sequence[Field] = ()


@dataclass(frozen=True, slots=True)
class Page:
    """An admin page.

    ``section`` is its place in the navigation. ``search`` is the text searched for; None if there is no search.
    ``kept`` are the parameters that a search keeps. ``more`` is the path to older rows. ``error`` says why a form that
    was posted changed nothing. ``notes`` explain the numbers, below them. ``figures`` stand above the tables.
    """

    section: str
    title: str
    tables: Sequence[Table]
    choices: Sequence[Sequence[Choice]] = ()
    bars: Sequence[Bar] = ()
    chart_title: str = ""
    texts: Sequence[Text] = ()
    search: str | None = None
    kept: Sequence[tuple[str, str]] = ()
    more: str = ""
    forms: Sequence[Form] = ()
    error: str = ""
    notes: Sequence[str] = ()
    figures: Sequence[KeyFigure] = ()


def number(value: float) -> str:
    """Return a number with two decimals from one on, otherwise with four."""
    if abs(value) < 0.00005:
        return "0"
    return f"{value:,.2f}" if abs(value) >= 1 else f"{value:.4f}"


def link(name: str, **parameters: object) -> str:
    """Return the path of a page below the root, with the parameters that are not empty."""
    given = {key: str(value) for key, value in parameters.items() if value not in (None, "")}
    path = f"admin/{name}" if name else "admin"
    return f"{path}?{urlencode(given)}" if given else path


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    return "" if value is None else value
