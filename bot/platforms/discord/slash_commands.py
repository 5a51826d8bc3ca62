"""Builds and syncs Discord's application commands: slash commands and the entries in a message's context menu."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import discord
from discord import app_commands

from bot.commands.base import Command
from bot.platforms.discord.command_options import Form, Option, Suggested, argument_line, description, forms

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
    """Callbacks for a command that runs, an option being filled in, an error, and the entries of a message's menu."""

    on_command: OnCommand
    suggest: Suggest
    on_error: OnError
    menus: Mapping[str, OnMessage]


class CommandTree(app_commands.CommandTree):
    """The library's command tree, with errors before a command runs passed to a callback."""

    def __init__(self, client: discord.Client, on_error: OnError) -> None:
        super().__init__(client)
        self._on_error = on_error

    async def on_error(self, interaction: discord.Interaction, error: app_commands.AppCommandError, /) -> None:
        """Pass on an error, such as an unreadable option or a command that Discord shows in an outdated form."""
        await self._on_error(interaction, error)


def build_tree(client: discord.Client, commands: Mapping[str, Command], handlers: Handlers) -> CommandTree:
    """Return the tree of all commands with their options, and of the message menu entries."""
    tree = CommandTree(client, handlers.on_error)
    for command in commands.values():
        tree.add_command(_entry(command, handlers))
    for name, on_message in handlers.menus.items():
        tree.add_command(app_commands.ContextMenu(name=name, callback=_menu_callback(on_message)))
    return tree


def _entry(command: Command, handlers: Handlers) -> app_commands.Command[Any, ..., Any] | app_commands.Group:
    command_forms = forms(command)
    entry: app_commands.Command[Any, ..., Any] | app_commands.Group
    if command_forms[0].name:
        entry = app_commands.Group(name=command.name, description=description(command, Form("", "")))
        for form in command_forms:
            entry.add_command(_command(command, form, form.name, handlers))
    else:
        entry = _command(command, command_forms[0], command.name, handlers)
    if command.admin:
        entry.default_permissions = discord.Permissions(manage_guild=True)
    return entry


def _command(command: Command, form: Form, name: str, handlers: Handlers) -> app_commands.Command[Any, ..., Any]:
    return app_commands.Command(
        name=name, description=description(command, form), callback=_callback(command, form, handlers)
    )


def _callback(command: Command, form: Form, handlers: Handlers) -> Any:
    """Return a function with the form's options as its parameters: the library reads them from the signature."""

    async def run(interaction: discord.Interaction, **values: Any) -> None:
        filled = {option.name: _as_argument(option, values.get(option.name)) for option in form.options}
        files = tuple(value for value in values.values() if isinstance(value, discord.Attachment))
        await handlers.on_command(interaction, command, argument_line(form, filled), files)

    callback: Any = run
    # Discord wants required options before optional ones.
    ordered = sorted(form.options, key=lambda option: not option.required)
    parameters = [_parameter("interaction", discord.Interaction), *map(_option_parameter, ordered)]
    callback.__signature__ = inspect.Signature(parameters)
    callback = app_commands.describe(**{option.name: option.description for option in form.options})(callback)
    choices = {option.name: [_choice(one, one) for one in option.choices] for option in form.options if option.choices}
    completions = {option.name: _completion(option.suggested, handlers) for option in form.options if option.suggested}
    if choices:
        callback = app_commands.choices(**choices)(callback)
    return app_commands.autocomplete(**completions)(callback) if completions else callback


def _parameter(name: str, annotation: Any, default: Any = inspect.Parameter.empty) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=default, annotation=annotation)


def _option_parameter(option: Option) -> inspect.Parameter:
    annotation = _ANNOTATIONS[option.kind]
    return _parameter(option.name, annotation) if option.required else _parameter(option.name, annotation | None, None)


def _choice(name: str, value: str) -> app_commands.Choice[str]:
    return app_commands.Choice(name=name, value=value)


def _completion(what: Suggested, handlers: Handlers) -> Any:
    async def complete(interaction: discord.Interaction, current: str) -> list[app_commands.Choice[str]]:
        return [_choice(name, value) for name, value in await handlers.suggest(interaction, what, current)]

    return complete


def _as_argument(option: Option, value: Any) -> str:
    """Return a value as it appears in the argument line; empty if there is none, or for a file."""
    if value is None or option.kind == "file":
        return ""
    if option.kind == "switch":
        return option.keyword if value else ""
    if option.kind == "person":
        return f"<@{value.id}>"
    return f"<#{value.id}>" if option.kind == "channel" else str(value)


def _menu_callback(on_message: OnMessage) -> Any:
    async def run(interaction: discord.Interaction, message: Any) -> None:
        await on_message(interaction, message)

    callback: Any = run
    callback.__annotations__["message"] = discord.Message
    return callback


# --- syncing with Discord


async def sync(client: discord.Client, tree: app_commands.CommandTree) -> bool:
    """Register the commands if they differ from those registered; return whether they were sent."""
    if client.application_id is None:
        return False
    registered = await client.http.get_global_commands(client.application_id)
    menus = tree.get_commands(type=discord.AppCommandType.message)
    entries = [*tree.get_commands(type=discord.AppCommandType.chat_input), *menus]
    if is_synced([dict(command) for command in registered], [entry.to_dict(tree) for entry in entries]):
        return False
    await tree.sync()
    return True


def is_synced(registered: list[dict[str, Any]], wanted: list[dict[str, Any]]) -> bool:
    """Return whether the registered commands equal the wanted ones, so that nothing needs to be sent."""
    return sorted(map(_comparable, registered), key=_name) == sorted(map(_comparable, wanted), key=_name)


def _name(command: dict[str, Any]) -> str:
    return str(command["name"])


def _comparable(command: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a command that this module sets, in one form for both sides."""
    permissions = command.get("default_member_permissions")
    return {
        "name": command["name"],
        "type": int(command.get("type") or 1),
        "description": command.get("description") or "",
        "permissions": None if permissions is None else int(permissions),
        "options": [_comparable_option(option) for option in command.get("options") or []],
    }


def _comparable_option(option: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": option["name"],
        "type": int(option["type"]),
        "description": option.get("description") or "",
        "required": bool(option.get("required")),
        "choices": [(choice["name"], choice["value"]) for choice in option.get("choices") or []],
        "autocomplete": bool(option.get("autocomplete")),
        "options": [_comparable_option(inner) for inner in option.get("options") or []],
    }
