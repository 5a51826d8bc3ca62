"""The command line. An error is one line that says what to do; the exit status is 0 done, 1 failed, 2 wrong usage."""

from __future__ import annotations

import sys

import click

from bot.cli import ask, costs, documents, evaluate, operations, privacy, serve
from bot.cli.command_runtime import explain
from bot.errors import UsageError


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="parley", message="parley %(version)s")
def cli() -> None:
    """Parley answers questions from your team's documents, in Slack, Discord, the browser and here."""


for module in (serve, ask, documents, costs, privacy, evaluate, operations):
    for command in module.COMMANDS:
        cli.add_command(command)


def main(args: list[str] | None = None) -> None:
    """Run the command line and exit."""
    sys.exit(run(args))


def run(args: list[str] | None = None) -> int:
    """Run the command line; the exit status."""
    try:
        status = cli.main(args=args, prog_name="parley", standalone_mode=False)
        return status if isinstance(status, int) else 0
    except click.exceptions.NoArgsIsHelpError as help_wanted:
        click.echo(help_wanted.format_message())
        return 2
    except click.ClickException as error:
        where = f" (see {error.ctx.command_path} --help)" if isinstance(error, click.UsageError) and error.ctx else ""
        return _fail(f"{' '.join(error.format_message().split()).rstrip('.')}{where}", 2)
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
    click.echo(f"parley: {line}", err=True)
    return status
