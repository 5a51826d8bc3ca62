"""Every option and argument of every command, found by walking the command line, with values that cannot be right."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from tests.cli.conftest import Parley, Ran
from tests.cli.every_command import (
    INTERACTIVE,
    ON_A_CLUSTER,
    SERVERS,
    Command,
    every_command,
    with_value,
    working_arguments,
)

ANY_TEXT = {("docs list", "text")}
"""Parameters whose empty value has a meaning: all documents."""
PERIODS = ("x", "0.5d", "-5d", "9" * 30 + "d")
BAD = {
    "question": (),
    "query": (),
    "turn_id": ("nosuch",),
    "document_id": ("nosuch", "0" * 32, "%", "\x1b[31m"),
    "sources": ("nosuch", "~nosuch/x", "a" * 5000, "git:" + "a" * 5000, "slack:", "http://", "ftp://x"),
    "files": ("nosuch", "a" * 5000),
    "host": ("http://127.0.0.1", "10.0.0.0/33"),
    "every": ("x", "1min", "9" * 30 + "d"),
    "period": PERIODS,
    "since": ("x", "2026-13-01"),
    "until": ("x", "2026-02-30"),
    "languages": ("German", "d"),
    "user": ("nosuch",),
    "tokens": ("0", "-5", "inf", "9" * 30, "\u0665"),
    "subject": ("role:king", "channel:", "user:"),
    "target_url": ("nosuch", "mysql://host/x", "postgresql://"),
    "tenant": ("teams:T1", "slack:", "local "),
    "data": ("/nosuch",),
    "path": ("/nosuch",),
    "baseline": ("/nosuch",),
    "documents": ("/nosuch",),
    "chart": ("/nosuch/x", "/"),
    "csv_file": ("/nosuch/x", "/"),
    "invoice": ("/nosuch", "/"),
    "cases_file": ("/nosuch/x", "/"),
    "answer": (),
    "answer_file": ("/nosuch", "/"),
    "answer_of": ("nosuch",),
    "answer_id": ("nosuch",),
    "also": (),
    "owner": (),
    "compare": ("/nosuch", "/"),
    "judge_name": ("nosuch",),
}
"""Values that cannot be right, by the name of the parameter; choices and numbers have theirs by their type."""
CREATES_TENANTS = ("ingest", "budget set", "verified add")
FREE = {
    *((command, name) for command in ("ask", "chat") for name in ("user", "thread")),
    *(("search", name) for name in ("audience", "sources", "authors")),
    *((command, "audience") for command in ("ingest", "verified add")),
}
"""Names and ids that need not be known."""


def bad_values(command: Command, parameter: click.Parameter) -> Iterator[str]:
    """Yield values that the parameter must refuse."""
    name = parameter.name or ""
    if (command.name, name) not in ANY_TEXT:
        yield from ("", " ")
    yield "caf\udce9"
    if isinstance(parameter.type, click.Choice):
        yield "nosuch"
    elif isinstance(parameter.type, click.IntRange | click.FloatRange):
        yield from ("x", "-1", "nan", "inf", "1e400", "9" * 30)
    elif (command.name, name) not in FREE | ANY_TEXT:
        yield from BAD[name]
        if name == "tenant" and command.name not in CREATES_TENANTS:
            yield "slack:T404"


def problem(made: Ran) -> str | None:
    """Return what is wrong with how a command refused a value; None for one line, no traceback and no output."""
    lines = made.err.strip().splitlines()
    if made.status not in (1, 2):
        return f"status {made.status}: {made.out[:80]}"
    if "Something went wrong" in made.err or "Traceback" in made.err:
        return f"not explained: {made.err[-300:]}"
    if made.status == 2 and (made.out or len(lines) != 1 or not lines[0].startswith("parley: ")):
        return f"not one line: {made.out[:80]!r} {lines}"
    return None if made.err or made.out else "nothing is said"


def test_every_command_refuses_values_that_cannot_be_right(
    parley: Parley, bare: Path, empty_database_url: str, logging_restored: None
) -> None:
    arguments = working_arguments(parley, bare, empty_database_url)
    problems: dict[Sequence[str], str] = {}

    for command in every_command():
        if command.name in (*SERVERS, *INTERACTIVE, *ON_A_CLUSTER):
            arguments = {**arguments, command.name: ()}
        for parameter in command.click.params:
            if isinstance(parameter, click.Option) and parameter.is_flag:
                continue
            for value in bad_values(command, parameter):
                line = with_value(command, arguments[command.name], parameter, value)
                found = problem(parley(*line))
                if found:
                    problems[tuple(one[:40] for one in line)] = found
    assert problems == {}
