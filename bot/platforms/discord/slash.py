"""Slash commands: one application command for each entry of the bot's commands."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import discord
from discord import app_commands

from bot.commands.base import Command

DESCRIPTION_CHARS = 100
WITH_FILE = frozenset({"ingest"})
OnCommand = Callable[[discord.Interaction, Command, str, tuple[discord.Attachment, ...]], Awaitable[None]]

_Callback = Callable[..., Any]


def tree(client: discord.Client, commands: Mapping[str, Command], on_command: OnCommand) -> app_commands.CommandTree:
    """The commands as Discord knows them. The argument line is one text option named after the usage."""
    grown: app_commands.CommandTree = app_commands.CommandTree(client)
    for command in commands.values():
        grown.add_command(_application_command(command, on_command))
    return grown


def _application_command(command: Command, on_command: OnCommand) -> app_commands.Command[Any, ..., Any]:
    if command.name in WITH_FILE:
        callback = _with_file(command, on_command)
    elif command.usage:
        needed = option_name(command.usage) != "arguments" and not command.usage.startswith("[")
        callback = _with_argument(command, on_command) if needed else _with_arguments(command, on_command)
    else:
        callback = _bare(command, on_command)
    built: app_commands.Command[Any, ..., Any] = app_commands.Command(
        name=command.name,
        description=(command.summary[:1].upper() + command.summary[1:DESCRIPTION_CHARS]) or command.name,
        callback=callback,
    )
    if command.admin:
        built.default_permissions = discord.Permissions(manage_guild=True)
    return built


def _bare(command: Command, on_command: OnCommand) -> _Callback:
    async def run(interaction: discord.Interaction) -> None:
        await on_command(interaction, command, "", ())

    return run


def _with_arguments(command: Command, on_command: OnCommand) -> _Callback:
    async def run(interaction: discord.Interaction, arguments: str = "") -> None:
        await on_command(interaction, command, arguments, ())

    return _described(run, command)


def _with_argument(command: Command, on_command: OnCommand) -> _Callback:
    async def run(interaction: discord.Interaction, arguments: str) -> None:
        await on_command(interaction, command, arguments, ())

    return _described(run, command)


def _with_file(command: Command, on_command: OnCommand) -> _Callback:
    async def run(
        interaction: discord.Interaction, arguments: str = "", file: discord.Attachment | None = None
    ) -> None:
        await on_command(interaction, command, arguments, (file,) if file else ())

    return app_commands.describe(file="A file to take in")(_described(run, command))


def _described(callback: _Callback, command: Command) -> _Callback:
    usage = command.usage or "arguments"
    callback = app_commands.describe(arguments=usage[:DESCRIPTION_CHARS])(callback)
    return app_commands.rename(arguments=option_name(usage))(callback)


def option_name(usage: str) -> str:
    """The name of the argument option: the usage where it is one word, else ``arguments``."""
    word = re.fullmatch(r"\[?<?([A-Za-z][A-Za-z_-]{0,31})>?\]?(?:\.\.\.)?", usage.strip())
    name = word[1].lower() if word else "arguments"
    return name if name != "file" else "arguments"


def in_force(known: list[dict[str, Any]], wanted: list[dict[str, Any]]) -> bool:
    """Whether what Discord has is what is wanted, so that nothing needs to be sent."""
    return sorted(map(_essence, known), key=_name) == sorted(map(_essence, wanted), key=_name)


def _name(command: dict[str, Any]) -> str:
    return str(command["name"])


def _essence(command: dict[str, Any]) -> dict[str, Any]:
    permissions = command.get("default_member_permissions")
    return {
        "name": command["name"],
        "description": command.get("description", ""),
        "permissions": None if permissions is None else int(permissions),
        "options": [_option(option) for option in command.get("options") or []],
    }


def _option(option: dict[str, Any]) -> tuple[str, int, str, bool]:
    return option["name"], int(option["type"]), option.get("description", ""), bool(option.get("required", False))


async def sync(client: discord.Client, grown: app_commands.CommandTree) -> bool:
    """Tell Discord the commands when they differ from what it has; whether something was sent."""
    if client.application_id is None:
        return False
    known = await client.http.get_global_commands(client.application_id)
    wanted = [command.to_dict(grown) for command in grown.get_commands()]
    if in_force([dict(command) for command in known], wanted):
        return False
    await grown.sync()
    return True
