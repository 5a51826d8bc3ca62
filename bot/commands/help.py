"""``help``: what can be done here."""

from __future__ import annotations

from collections.abc import Iterable

from bot.commands.base import Command, Context, Reply


def make(commands: Iterable[Command]) -> Command:
    """The help over these commands and itself."""
    known = list(commands)

    async def run(context: Context, _: str) -> Reply:
        visible = [command for command in known if context.author.is_admin or not command.admin]
        lines = [f"- `/{c.name}{' ' + c.usage if c.usage else ''}` {c.summary}" for c in visible]
        return Reply(
            "Mention me with a question, or write to me directly; I answer from the team's documents and name the "
            "places. In a thread I remember what was said.\n\n" + "\n".join(lines)
        )

    command = Command("help", "shows this", "", run)
    known.append(command)
    return command
