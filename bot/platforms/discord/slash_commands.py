"""Application commands: the forms of the bot's commands, and the entries in the menu of a message."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import discord
from discord import app_commands

from bot.commands.base import Command
from bot.platforms.discord.command_options import Form, Option, Suggested, description, forms, line

OnCommand = Callable[[discord.Interaction, Command, str, tuple[discord.Attachment, ...]], Awaitable[None]]
Suggest = Callable[[discord.Interaction, Suggested, str], Awaitable[list[tuple[str, str]]]]
OnMessage = Callable[[discord.Interaction, discord.Message], Awaitable[None]]
OnError = Callable[[discord.Interaction, Exception], Awaitable[None]]

_ANNOTATIONS: dict[str, Any] = {
    "text": str,
    "person": discord.User,
    "channel": app_commands.AppCommandChannel,
    "file": discord.Attachment,
    "switch": bool,
}


@dataclass(frozen=True, slots=True)
class Handlers:
    """What is called when somebody runs a command, fills in an option, or chooses an entry of a message's menu."""

    on_command: OnCommand
    suggest: Suggest
    on_error: OnError
    menus: Mapping[str, OnMessage]


class Tree(app_commands.CommandTree):
    """The commands as the library keeps them; what goes wrong before a command runs is told to the person."""

    def __init__(self, client: discord.Client, on_error: OnError) -> None:
        super().__init__(client)
        self._tell = on_error

    async def on_error(self, interaction: discord.Interaction, error: app_commands.AppCommandError, /) -> None:
        """An option that the library cannot read, or commands that differ from those Discord still shows."""
        await self._tell(interaction, error)


def tree(client: discord.Client, commands: Mapping[str, Command], handlers: Handlers) -> Tree:
    """The commands with their forms, and the menu of a message."""
    grown = Tree(client, handlers.on_error)
    for command in commands.values():
        grown.add_command(_entry(command, handlers))
    for name, chosen in handlers.menus.items():
        grown.add_command(app_commands.ContextMenu(name=name, callback=_on_message(chosen)))
    return grown


def _entry(command: Command, handlers: Handlers) -> app_commands.Command[Any, ..., Any] | app_commands.Group:
    offered = forms(command)
    entry: app_commands.Command[Any, ..., Any] | app_commands.Group
    if offered[0].name:
        entry = app_commands.Group(name=command.name, description=description(command, Form("", "")))
        for form in offered:
            entry.add_command(_command(command, form, form.name, handlers))
    else:
        entry = _command(command, offered[0], command.name, handlers)
    if command.admin:
        entry.default_permissions = discord.Permissions(manage_guild=True)
    return entry


def _command(command: Command, form: Form, name: str, handlers: Handlers) -> app_commands.Command[Any, ..., Any]:
    return app_commands.Command(
        name=name, description=description(command, form), callback=_callback(command, form, handlers)
    )


def _callback(command: Command, form: Form, handlers: Handlers) -> Any:
    """A function with the form's options as its parameters: the library reads them from the signature."""

    async def run(interaction: discord.Interaction, **values: Any) -> None:
        filled = {option.name: _written(option, values.get(option.name)) for option in form.options}
        files = tuple(value for value in values.values() if isinstance(value, discord.Attachment))
        await handlers.on_command(interaction, command, line(form, filled), files)

    taking: Any = run
    ordered = sorted(form.options, key=lambda option: not option.required)
    taking.__signature__ = inspect.Signature([_parameter("interaction", discord.Interaction), *map(_field, ordered)])
    taking = app_commands.describe(**{option.name: option.told for option in form.options})(taking)
    chosen = {option.name: [_choice(one, one) for one in option.choices] for option in form.options if option.choices}
    offered = {option.name: _offering(option.suggested, handlers) for option in form.options if option.suggested}
    if chosen:
        taking = app_commands.choices(**chosen)(taking)
    return app_commands.autocomplete(**offered)(taking) if offered else taking


def _parameter(name: str, annotation: Any, default: Any = inspect.Parameter.empty) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=default, annotation=annotation)


def _field(option: Option) -> inspect.Parameter:
    annotation = _ANNOTATIONS[option.kind]
    return _parameter(option.name, annotation) if option.required else _parameter(option.name, annotation | None, None)


def _choice(name: str, value: str) -> app_commands.Choice[str]:
    return app_commands.Choice(name=name, value=value)


def _offering(what: Suggested, handlers: Handlers) -> Any:
    async def offer(interaction: discord.Interaction, current: str) -> list[app_commands.Choice[str]]:
        return [_choice(name, value) for name, value in await handlers.suggest(interaction, what, current)]

    return offer


def _written(option: Option, value: Any) -> str:
    """A value as it stands in an argument line; empty where there is none. Files do not stand in it."""
    if value is None or option.kind == "file":
        return ""
    if option.kind == "switch":
        return option.word if value else ""
    if option.kind == "person":
        return f"<@{value.id}>"
    return f"<#{value.id}>" if option.kind == "channel" else str(value)


def _on_message(chosen: OnMessage) -> Any:
    async def run(interaction: discord.Interaction, message: Any) -> None:
        await chosen(interaction, message)

    taking: Any = run
    taking.__annotations__["message"] = discord.Message
    return taking


# --- telling Discord


def in_force(known: list[dict[str, Any]], wanted: list[dict[str, Any]]) -> bool:
    """Whether what Discord has is what is wanted, so that nothing needs to be sent."""
    return sorted(map(_essence, known), key=_name) == sorted(map(_essence, wanted), key=_name)


def _name(command: dict[str, Any]) -> str:
    return str(command["name"])


def _essence(command: dict[str, Any]) -> dict[str, Any]:
    permissions = command.get("default_member_permissions")
    return {
        "name": command["name"],
        "type": int(command.get("type") or 1),
        "description": command.get("description") or "",
        "permissions": None if permissions is None else int(permissions),
        "options": [_option(option) for option in command.get("options") or []],
    }


def _option(option: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": option["name"],
        "type": int(option["type"]),
        "description": option.get("description") or "",
        "required": bool(option.get("required")),
        "choices": [(choice["name"], choice["value"]) for choice in option.get("choices") or []],
        "autocomplete": bool(option.get("autocomplete")),
        "options": [_option(inner) for inner in option.get("options") or []],
    }


async def sync(client: discord.Client, grown: app_commands.CommandTree) -> bool:
    """Tell Discord the commands when they differ from what it has; whether something was sent."""
    if client.application_id is None:
        return False
    known = await client.http.get_global_commands(client.application_id)
    menus = [menu for kind in (discord.AppCommandType.message,) for menu in grown.get_commands(type=kind)]
    entries = [*grown.get_commands(type=discord.AppCommandType.chat_input), *menus]
    if in_force([dict(command) for command in known], [entry.to_dict(grown) for entry in entries]):
        return False
    await grown.sync()
    return True
