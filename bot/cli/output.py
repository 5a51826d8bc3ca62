"""Prints replies and tables on the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from bot.cli import user_messages
from bot.commands.base import Cell, Reply
from bot.errors import ParleyError


def show_table(columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> None:
    """Print rows under their column names, with numbers aligned to the right."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    lines = [list(row) for row in rows]
    for index, column in enumerate(columns):
        numeric = all(isinstance(line[index], int | float) for line in lines) if lines else False
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for line in lines:
        table.add_row(*(_text(cell) for cell in line))
    Console().print(table)


def show_reply(reply: Reply) -> None:
    """Print the reply of a command; write its file to the current folder."""
    click.echo(reply.text)
    if reply.table:
        show_table(reply.table.columns, reply.table.rows)
    if reply.file:
        write_file(Path(reply.file.name), reply.file.data)
        click.echo(user_messages.written(reply.file.name))


def write_file(path: Path, data: bytes) -> None:
    """Write a file. Raises ParleyError if it cannot be written."""
    try:
        path.write_bytes(data)
    except OSError as error:
        raise ParleyError(user_messages.not_writable(path, error.strerror)) from None


def _text(cell: Cell) -> str:
    return "-" if cell is None else f"{cell:,}" if isinstance(cell, int) else str(cell)
