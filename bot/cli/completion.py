"""The ``parley completion`` command: prints the script that completes ``parley`` commands in a shell."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from bot.cli.output import echo

SHELLS = ("bash", "zsh", "fish")
VARIABLE = "_PARLEY_COMPLETE"
"""Environment variable with which the script asks ``parley`` for completions."""


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the completion script of a shell.

    Load it in bash or zsh with: eval "$(parley completion bash)". In fish: parley completion fish | source
    """
    kind = get_completion_class(shell)
    assert kind is not None, f"click completes in {SHELLS}"
    echo(kind(context.find_root().command, {}, "parley", VARIABLE).source())


COMMANDS = (completion,)
