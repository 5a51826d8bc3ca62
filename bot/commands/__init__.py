"""The commands, once for every platform."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

from bot.commands import ask, budget, costs, docs, ingest, privacy, stop, why
from bot.commands import help as help_command
from bot.commands.base import Command, Context, File, Reply, Table
from bot.commands.services import Services
from bot.errors import NotAllowed, ParleyError, UsageError
from knowledge.errors import KnowledgeError

_ALL = tuple(module.COMMAND for module in (ask, ingest, docs, budget, costs, why, stop, privacy))

COMMANDS: Mapping[str, Command] = {command.name: command for command in (*_ALL, help_command.make(_ALL))}
"""Every command by its name."""

_BARE = frozenset(("stop", "why", "budget", "costs", "help", "docs"))
"""Commands that a mention may consist of alone."""


async def run(name: str, args: str, ctx: Context) -> Reply:
    """Run a command. Raises ParleyError with words for the person."""
    command = COMMANDS.get(name.strip().lower().lstrip("/"))
    if command is None:
        near = difflib.get_close_matches(name, COMMANDS, 1)
        hint = f"Did you mean /{near[0]}?" if near else "/help lists what there is."
        raise UsageError(f"There is no command “{name}”. {hint}")
    if command.admin and not ctx.author.is_admin:
        raise NotAllowed(f"Only an admin can use /{command.name}.")
    try:
        return await command.run(ctx, args.strip())
    except KnowledgeError as error:
        raise ParleyError(str(error)) from error


def match(text: str) -> tuple[str, str] | None:
    """The command that a mention is, and its arguments; None for a question.

    ``stop`` alone is a command and ``stop the deployment?`` a question; a slash makes it a command in any case.
    """
    name, _, args = text.strip().partition(" ")
    slashed, name = name.startswith("/"), name.lstrip("/").lower()
    if name not in COMMANDS:
        return None
    args = args.strip()
    if slashed or (not args and name in _BARE):
        return name, args
    first = args.split(" ")[0].strip("<>").lower()
    if name == "ingest" and (first.startswith(("http://", "https://", "--here")) or not args):
        return name, args
    if name in ("budget", "docs", "privacy") and first in (
        "show",
        "set",
        "list",
        "delete",
        "refresh",
        "export",
        "erase",
    ):
        return name, args
    if name == "costs" and (first == "by" or first[:1].isdigit() or first == "csv"):
        return name, args
    return None


__all__ = ["COMMANDS", "Command", "Context", "File", "Reply", "Services", "Table", "match", "run"]
