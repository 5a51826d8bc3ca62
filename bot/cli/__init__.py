"""The ``parley`` command line: registers the commands, prints errors as one line, returns the exit status.

The exit status is 0 for success, 1 for a failure and 2 for wrong usage.
"""

from __future__ import annotations

import sys
from typing import NoReturn

import click

from bot.cli import ask, budget, costs, database, docs, doctor, evaluate, ingest, manifest, privacy, search, serve, why
from bot.cli.command_runtime import explain
from bot.cli.output import echo
from bot.cli.shutdown import leave
from bot.errors import UsageError


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="parley", message="parley %(version)s")
def cli() -> None:
    """Parley answers questions from your team's documents, in Slack, Discord, the browser and the terminal.

    To try it, run 'parley up --sample' and open the address that it prints.
    """


for module in (serve, ask, why, ingest, docs, search, costs, budget, privacy, evaluate, doctor, manifest, database):
    for command in module.COMMANDS:
        cli.add_command(command)


def main(args: list[str] | None = None) -> NoReturn:
    """Run the command line and end the process with its status."""
    leave(run(args))


def run(args: list[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    try:
        status = cli.main(args=args, prog_name="parley", standalone_mode=False)
        return status if isinstance(status, int) else 0
    except click.exceptions.NoArgsIsHelpError as no_command:
        echo(no_command.format_message())
        return 2
    except click.ClickException as error:
        hint = f" (see {error.ctx.command_path} --help)" if isinstance(error, click.UsageError) and error.ctx else ""
        return _fail(f"{' '.join(error.format_message().split()).rstrip('.')}{hint}", 2)
    except (click.Abort, KeyboardInterrupt):
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 1
    except BaseException as error:
        if isinstance(error, SystemExit):
            return int(error.code or 0) if not isinstance(error.code, str) else 1
        return _fail(explain(error), 2 if isinstance(error, UsageError) else 1)


def _fail(line: str, status: int) -> int:
    echo(f"parley: {line}", err=True)
    return status
