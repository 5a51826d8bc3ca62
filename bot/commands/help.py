"""The ``help`` command: lists the commands that the user may run."""

from __future__ import annotations

from collections.abc import Iterable

from bot.commands import help_text
from bot.commands.base import Command, Context, Reply


def make(commands: Iterable[Command]) -> Command:
    """Return the help command for ``commands`` and itself."""
    listed = list(commands)

    async def run(context: Context, _: str) -> Reply:
        visible = [command for command in listed if context.author.is_admin or not command.admin]
        lines = [f"- `/{c.name}{' ' + c.usage if c.usage else ''}`: {c.summary}" for c in visible]
        return Reply(f"{help_text.HELP_INTRO}\n\n" + "\n".join(lines))

    command = Command("help", help_text.HELP_SUMMARY, "", run, anyone=True)
    listed.append(command)
    return command
