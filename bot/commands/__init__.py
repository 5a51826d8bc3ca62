"""The commands, once for every platform."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import replace

from bot.commands import admin, ask, budget, cited_sources, costs, docs, ingest, memory, privacy, settings, stop, why
from bot.commands import help as help_command
from bot.commands.base import Command, Context, File, Reply, Table
from bot.commands.services import Services
from bot.engine.dispatch.permissions import with_granted_role
from bot.errors import NotAllowed, ParleyError, UsageError
from bot.types.conversation import Author
from knowledge.errors import KnowledgeError

_MODULES = (ask, ingest, docs, budget, costs, why, cited_sources, stop, memory, settings, admin, privacy)
_ALL = tuple(module.COMMAND for module in _MODULES)

COMMANDS: Mapping[str, Command] = {command.name: command for command in (*_ALL, help_command.make(_ALL))}
"""Every command by its name."""

_NAME = re.compile(r"[a-z][\w-]{1,31}")
_WORD = re.compile(r"(?:\[|\| )([a-z][a-z-]+)")
"""In a usage: a word that the arguments may begin with."""
_BARE = frozenset(("stop", "why", "sources", "budget", "costs", "help", "docs", "settings", "memory"))
"""Commands that a mention may consist of alone."""


async def run(name: str, args: str, ctx: Context) -> Reply:
    """Run a command. Raises ParleyError with words for the person."""
    command = COMMANDS.get(name.strip().lower().lstrip("/"))
    if command is None:
        raise no_such(name)
    ctx = replace(ctx, author=await _in_full(ctx))
    if command.admin and not ctx.author.is_admin:
        raise NotAllowed(f"Only an admin can use /{command.name}.")
    try:
        return await command.run(ctx, args.strip())
    except UsageError as error:
        raise UsageError(f"{error}{_nearest(command, args)}") from error
    except KnowledgeError as error:
        raise ParleyError(str(error)) from error


def no_such(name: str) -> UsageError:
    """What is wrong with a command's name, with the nearest that there is."""
    near = difflib.get_close_matches(name.lower().lstrip("/"), COMMANDS, 1)
    hint = f"Did you mean /{near[0]}?" if near else "/help lists what there is."
    return UsageError(f"There is no command “{name}”. {hint}")


def _nearest(command: Command, args: str) -> str:
    """What a misspelled first word of the arguments may have been meant to be."""
    known = _WORD.findall(command.usage)
    first = args.split()[0].lower() if args.split() else ""
    near = [] if first in known else difflib.get_close_matches(first, known, 1)
    return f" Did you mean /{command.name} {near[0]}?" if near else ""


async def _in_full(ctx: Context) -> Author:
    """The author, an admin also where one has been made here with ``/admin grant``."""
    return await with_granted_role(ctx.services.stores.settings, ctx.author, ctx.tenant_id)


def match(text: str) -> tuple[str, str] | None:
    """The command that a mention is, and its arguments; None for a question.

    ``stop`` alone is a command and ``stop the deployment?`` a question; a slash makes it a command in any case, a
    misspelled one too, so that ``run`` can name the nearest.
    """
    name, _, args = text.strip().partition(" ")
    slashed, name = name.startswith("/"), name.lstrip("/").lower()
    args = args.strip()
    if name not in COMMANDS:
        return (name, args) if slashed and _NAME.fullmatch(name) else None
    if slashed or (not args and name in _BARE):
        return name, args
    first = args.split(" ")[0].strip("<>").lower()
    if name == "ingest" and (
        first.startswith(("http://", "https://", "--here")) or args.lower() in ("", "stop", "stop mine")
    ):
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
    if name == "memory" and first in ("show", "forget"):
        return name, args
    if name == "settings" and first in ("show", "persona", "tier", "sources", "follow-ups", "auto-answer", "reset"):
        return name, args
    if name == "admin" and first in ("show", "grant", "revoke", "tier", "pause", "resume", "budgets", "models"):
        return name, args
    if name == "costs" and (first == "by" or first[:1].isdigit() or first in ("csv", "chart")):
        return name, args
    return None


__all__ = ["COMMANDS", "Command", "Context", "File", "Reply", "Services", "Table", "match", "run"]
