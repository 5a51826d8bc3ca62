"""The ``parley`` command line: registers the commands, prints errors as one line, returns the exit status.

The exit status is 0 for success, 1 for a failure and 2 for wrong usage.
"""

from __future__ import annotations

import errno
import os
import sys
from contextlib import suppress
from typing import NoReturn

import click

from bot.cli import (
    ask,
    budget,
    completion,
    costs,
    database,
    docs,
    doctor,
    evaluate,
    feedback,
    gaps,
    ingest,
    init,
    manifest,
    parse,
    privacy,
    search,
    serve,
    slo,
    standard_streams,
    user_messages,
    verified,
    why,
)
from bot.cli.command_runtime import explain
from bot.cli.output import echo
from bot.cli.parameter_types import undecodable
from bot.cli.shutdown import leave
from bot.commands.arguments import with_plain_dashes
from bot.errors import UsageError


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="parley", message="parley %(version)s")
def cli() -> None:
    """Parley answers questions from your team's documents, in Slack, Discord, the browser and the terminal.

    To try it, run 'parley up --sample' and open the address that it prints.
    """


for module in (
    init,
    serve,
    ask,
    why,
    ingest,
    docs,
    parse,
    search,
    costs,
    feedback,
    gaps,
    slo,
    verified,
    budget,
    privacy,
    evaluate,
    doctor,
    manifest,
    database,
    completion,
):
    for command in module.COMMANDS:
        cli.add_command(command)


FILE_COMMANDS = ("parse", "ingest")
"""Commands whose arguments may name files, whose names may be any bytes. They check their other values themselves."""


def main(args: list[str] | None = None) -> NoReturn:
    """Run the command line and end the process with its status."""
    standard_streams.prepare()
    leave(run(args))


def run(args: list[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    given = [*map(_typed, sys.argv[1:] if args is None else args)]
    if wrong := undecodable(given[:1] if given[:1] and given[0] in FILE_COMMANDS else given):
        return _fail(user_messages.not_utf8(wrong), 2)
    status, output, errors = 0, sys.stdout, sys.stderr
    error: BaseException | None = None
    try:
        status = _status(cli.main(args=given, prog_name="parley", standalone_mode=False))
    except BaseException as raised:
        error = raised
        sys.stderr = errors  # click replaces the streams of a process whose output is closed.
    output_error = standard_streams.flush_output() or _broken_pipe(error, replaced=sys.stdout is not output)
    if output_error is not None:
        return _fail(user_messages.output_failed(output_error.strerror), 1)
    return _explained(error) if error is not None else status


def _typed(argument: str) -> str:
    """Return an option that was copied from a text with typographic dashes as it is meant; a sentence stays."""
    return argument if " " in argument else with_plain_dashes(argument)


def _broken_pipe(error: BaseException | None, *, replaced: bool) -> BrokenPipeError | None:
    """Return the error of a pipe that nobody reads.

    rich and click turn it into a SystemExit. click has ``replaced`` the output then.
    """
    if isinstance(error, SystemExit) and replaced:
        return BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
    found = error.__context__ if isinstance(error, SystemExit) else error
    return found if isinstance(found, BrokenPipeError) else None


def _status(returned: object) -> int:
    return returned if isinstance(returned, int) else 0


def _explained(error: BaseException) -> int:
    """Print an error as one line and return its exit status."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        echo(error.format_message())
        return 2
    if isinstance(error, click.ClickException):
        hint = f" (see {error.ctx.command_path} --help)" if isinstance(error, click.UsageError) and error.ctx else ""
        return _fail(f"{' '.join(error.format_message().split()).rstrip('.')}{hint}", 2)
    if isinstance(error, click.Abort | KeyboardInterrupt):
        return 130
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    return _fail(explain(error), 2 if isinstance(error, UsageError) else 1)


def _fail(line: str, status: int) -> int:
    with suppress(OSError):
        echo(f"parley: {line}", err=True)
    return status
