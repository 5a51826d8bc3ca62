"""Registry of the slash commands, which are the same on every platform: run a command, recognize one in a mention."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import replace

from bot.commands import (
    admin,
    arguments,
    ask,
    budget,
    cited_sources,
    costs,
    docs,
    feedback,
    ingest,
    memory,
    privacy,
    quiet,
    settings,
    stop,
    summarize,
    user_messages,
    why,
)
from bot.commands import help as help_command
from bot.commands.base import Command, Context, File, Reply, Table
from bot.commands.services import Services
from bot.engine import user_messages as engine_messages
from bot.engine.dispatch.permissions import with_granted_role
from bot.errors import NotAllowed, ParleyError, UsageError
from bot.types.audience import Audience
from bot.types.conversation import ThreadKey
from knowledge import refusal_counts
from knowledge.errors import KnowledgeError
from knowledge.text.storable_text import storable

_MODULES = (
    ask,
    summarize,
    ingest,
    docs,
    budget,
    costs,
    feedback,
    why,
    cited_sources,
    stop,
    memory,
    settings,
    admin,
    privacy,
)
_ALL = (*(module.COMMAND for module in _MODULES), quiet.QUIET, quiet.LISTEN)

COMMANDS: Mapping[str, Command] = {command.name: command for command in (*_ALL, help_command.make(_ALL))}
"""Every command by its name."""

_NAME = re.compile(r"[a-z][\w-]{1,31}")
_USAGE_WORD = re.compile(r"(?:\[|\| )([a-z][a-z-]+)")
"""Matches a word in a usage text with which the arguments may begin."""
_WITHOUT_ARGUMENTS = frozenset(
    (
        "stop",
        "why",
        "sources",
        "summarize",
        "budget",
        "costs",
        "help",
        "docs",
        "settings",
        "memory",
        "feedback",
        "quiet",
        "listen",
    )
)
"""Commands that a mention can consist of without arguments."""
_FIRST_WORDS: Mapping[str, frozenset[str]] = {
    "budget": frozenset(("show", "set", "list")),
    "docs": frozenset(("list", "show", "delete", "refresh", "save", "verify")),
    "privacy": frozenset(("export", "erase")),
    "memory": frozenset(("show", "forget")),
    "settings": frozenset(
        ("show", "persona", "tier", "sources", "follow-ups", "auto-answer", "change-notices", "external", "reset")
    ),
    "admin": frozenset(("show", "grant", "revoke", "tier", "pause", "resume", "digest", "budgets", "models")),
    "costs": frozenset(("by", "csv", "chart")),
}
"""Words that mark the text after a command's name as its arguments, not as a question."""


async def run(name: str, args: str, ctx: Context) -> Reply:
    """Run a command. Raises ParleyError with a message for the user."""
    command = COMMANDS.get(name.strip().lower().lstrip("/"))
    if command is None:
        raise no_such(name)
    if ctx.audience.refused and not command.anyone:
        refusal_counts.count("stranger", ctx.tenant_id)
        raise NotAllowed(engine_messages.not_direct(ctx.audience))
    author = await with_granted_role(ctx.services.stores.settings, ctx.author, ctx.tenant_id)
    ctx = replace(ctx, author=author, audience=await _under_settings(ctx))
    if command.admin and not ctx.author.is_admin:
        raise NotAllowed(user_messages.admin_command(command.name))
    if command.members and ctx.author.standing in ("guest", "outsider"):
        refusal_counts.count("stranger", ctx.tenant_id)
        raise NotAllowed(user_messages.MEMBERS_COMMAND)
    try:
        return await command.run(ctx, storable(args.strip()))
    except UsageError as error:
        raise UsageError(f"{error}{_suggestion(command, args)}") from error
    except KnowledgeError as error:
        raise ParleyError(str(error)) from error


def no_such(name: str) -> UsageError:
    """Return the error for an unknown command; it suggests the command with the most similar name."""
    similar = difflib.get_close_matches(name.lower().lstrip("/"), COMMANDS, 1)
    return UsageError(user_messages.unknown_command(name, similar[0] if similar else ""))


def _suggestion(command: Command, args: str) -> str:
    """Return a suggestion for a misspelled first argument; empty if there is none."""
    allowed = _USAGE_WORD.findall(command.usage)
    first = args.split()[0].lower() if args.split() else ""
    similar = [] if first in allowed else difflib.get_close_matches(first, allowed, 1)
    return user_messages.did_you_mean(command.name, similar[0]) if similar else ""


async def _under_settings(ctx: Context) -> Audience:
    """Return who reads an answer here, under the channel's settings."""
    if ctx.audience.tenant_wide:
        return ctx.audience
    thread = ThreadKey(ctx.tenant_id, ctx.platform, ctx.channel_id, ctx.thread_id or "")
    return ctx.audience.given((await ctx.services.stores.settings.channel_settings(thread)).external)


def match(text: str) -> tuple[str, str] | None:
    """Return the command and arguments that a mention consists of; None for a question.

    ``stop`` alone is a command, ``stop the deployment?`` is a question. A leading slash always makes it a command, even
    a misspelled one, so that ``run`` can suggest the right name.
    """
    name, args = arguments.first_word(text)
    has_slash, name = name.startswith("/"), name.lstrip("/").lower()
    if name not in COMMANDS:
        return (name, args) if has_slash and _NAME.fullmatch(name) else None
    if has_slash or (not args and name in _WITHOUT_ARGUMENTS) or _are_arguments(name, args):
        return name, args
    return None


def _are_arguments(name: str, args: str) -> bool:
    """Return whether the text after a command's name reads like its arguments."""
    first = arguments.with_plain_dashes(arguments.first_word(args)[0]).strip("<>").lower()
    if first.startswith("--") and name != "ask":
        return True
    if name == "ingest":
        is_channel = any(map(arguments.is_slack_channel, args.split()[:1]))
        return is_channel or first.startswith(("http://", "https://", "#")) or args.lower() in ("", "stop", "stop mine")
    if name == summarize.NAME:
        return args.lower() in ("thread", "day")
    if name == "docs" and args.lower() == "preview":
        return True
    if name == "costs" and first[:1].isdigit():
        return True
    return first in _FIRST_WORDS.get(name, frozenset())


__all__ = ["COMMANDS", "Command", "Context", "File", "Reply", "Services", "Table", "match", "run"]
