"""Prints text, JSON, tables and replies on the terminal. Data is shown as it is and never read as markup.

Titles, names and errors may hold what a terminal or a library would act on: escape sequences, ``[bold]``, ``:smile:``.
Everything that the command line prints goes through this module.
"""

from __future__ import annotations

import re
import shutil
import sys
import textwrap
from collections.abc import Iterable, Sequence
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bot.cli import user_messages
from bot.errors import ParleyError
from bot.terminal_markdown import shows_bold, with_bold
from bot.types.json_documents import to_json
from knowledge.text.numbered_names import numbered

if TYPE_CHECKING:
    from rich.console import Console

    from bot.commands.base import Cell, Reply

_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""Characters that move the cursor, change the terminal or reorder the text; not the line break and the tab."""


_LONGEST_NAME = 48
"""Widest name in a table, in columns, that is never broken: names of models have up to some forty."""


def printable(text: str) -> str:
    r"""Return the text with its control characters written out, as in ``\x1b``."""
    return _CONTROL.sub(lambda found: ascii(found.group())[1:-1], text)


def echo(text: str = "", *, err: bool = False) -> None:
    """Print a text and a line break on stdout, or on stderr."""
    click.echo(printable(text), err=err)


def echo_prose(text: str, *, err: bool = False) -> None:
    """Print sentences on stdout, or on stderr; on a terminal, each line is wrapped between words to its width."""
    if (sys.stderr if err else sys.stdout).isatty():
        width = shutil.get_terminal_size().columns
        text = "\n".join(line if len(line) <= width else _wrapped(line, width) for line in text.split("\n"))
    echo(text, err=err)


def _wrapped(line: str, width: int) -> str:
    """Wrap a line; addresses and words stay whole."""
    return textwrap.fill(line, width, break_long_words=False, break_on_hyphens=False)


def confirm(question: str, *, default: bool = False) -> bool:
    """Ask a question that is answered with yes or no."""
    return click.confirm(printable(question), default=default)


def ask(question: str, *, secret: bool = False) -> str:
    """Ask for a text; empty if only Enter is pressed. With ``secret``, what is typed is not shown."""
    answer: str = click.prompt(printable(question), default="", show_default=False, hide_input=secret)
    return answer


def console(*, stderr: bool = False) -> Console:
    """Return a console that reads no markup in what it prints."""
    from rich.console import Console

    return Console(stderr=stderr, markup=False, emoji=False, highlight=False)


def print_json(document: object, *, indent: int | None = 2) -> None:
    """Print one JSON document on stdout; without ``indent``, on one line."""
    click.echo(_CONTROL.sub(lambda found: f"\\u{ord(found.group()):04x}", to_json(document, indent=indent)))


def print_data(document: object, columns: Sequence[str], rows: Iterable[Sequence[Cell]], *, as_json: bool) -> None:
    """Print data as a JSON document, or as a table of rows under their column names."""
    if as_json:
        print_json(document)
    else:
        show_table(columns, rows)


def show_table(columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> None:
    """Print rows under their column names, with numbers aligned to the right.

    Texts wrap where the terminal is narrow. Names and numbers stay whole, so that they can be copied and searched for.
    """
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    lines = [list(row) for row in rows]
    shown = [[printable(_text(cell)) for cell in line] for line in lines]
    for index, column in enumerate(columns):
        numeric = all(isinstance(line[index], int | float) for line in lines) if lines else False
        width = _width_of_names([line[index] for line in shown])
        table.add_column(column, justify="right" if numeric else "left", overflow="fold", min_width=width)
    for line in shown:
        table.add_row(*line)
    console().print(table, crop=False)


def _width_of_names(cells: Sequence[str]) -> int | None:
    """Return the width of a column of names or numbers, which must not be broken; None for texts and long names."""
    from rich.cells import cell_len

    width = max(map(cell_len, cells), default=0)
    return width if width <= _LONGEST_NAME and not any(" " in cell for cell in cells) else None


def show_reply(reply: Reply) -> None:
    """Print the reply of a command, with bold words on a terminal; write its file to the current folder."""
    text = printable(reply.text)
    click.echo(with_bold(text) if shows_bold(sys.stdout) else text)
    if reply.table:
        show_table(reply.table.columns, reply.table.rows)
    if reply.file:
        path = _free_path(Path(reply.file.name))
        write_file(path, reply.file.data)
        echo(user_messages.written(path))


def _free_path(path: Path) -> Path:
    """Return the path, or the first numbered one like it that no file has."""
    paths = (path.with_name(numbered(path.name, number)) for number in count(1))
    return next(one for one in paths if not one.exists())


STDOUT = Path("-")
"""The name of a file that stands for stdout."""


def write_output(path: Path, data: bytes) -> None:
    """Write a file that the user named, and say so on stderr. Raises ParleyError if it cannot be written."""
    if path == STDOUT:
        click.echo(data, nl=False)
        return
    write_file(path, data)
    echo(user_messages.written(path), err=True)


def write_file(path: Path, data: bytes) -> None:
    """Write a file. Raises ParleyError if it cannot be written."""
    try:
        path.write_bytes(data)
    except OSError as error:
        raise ParleyError(user_messages.not_writable(path, error.strerror)) from None


def _text(cell: Cell) -> str:
    return "-" if cell is None else f"{cell:,}" if isinstance(cell, int) else str(cell)
