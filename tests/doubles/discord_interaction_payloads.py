"""Builds the payloads of interactions as Discord's client sends them: slash commands, autocomplete and menus."""

from __future__ import annotations

from tests.doubles.discord_interactions import Interaction
from tests.doubles.discord_models import ADMINISTRATOR, MEMBER, Json, Message, User
from tests.doubles.discord_rules import MESSAGE_MENU, SUB_COMMAND
from tests.doubles.discord_world import World

TEXT, SWITCH, PERSON, CHANNEL, FILE = 3, 5, 6, 7, 11


def slash_command(
    world: World,
    commands: list[Json],
    name: str,
    options: dict[str, object],
    file: tuple[str, str, bytes] | None,
    user: User,
) -> Json:
    """Return the data of a slash command. Raises AssertionError if the client would not offer it so."""
    command, path, fields = _registered(commands, name)
    needed = command["default_member_permissions"]
    assert needed is None or user.permissions & (int(needed) | ADMINISTRATOR), f"{user.name} is not offered /{name}"
    offered = {field["name"]: field for field in fields}
    given = [*options, *(key for key, field in offered.items() if file is not None and field["type"] == FILE)]
    missing = [key for key, field in offered.items() if field.get("required") and key not in given]
    assert not missing, f"/{name} needs {missing}"
    assert set(options) <= set(offered), f"/{name} takes {sorted(offered)}"
    resolved: Json = {}
    filled = [_option(world, offered[key], value, resolved) for key, value in options.items()]
    if file is not None:
        sent = world.add_file(*file)
        key = next(key for key, field in offered.items() if field["type"] == FILE)
        filled.append({"name": key, "type": FILE, "value": str(sent.id)})
        resolved["attachments"] = {str(sent.id): sent.payload()}
    return _data(command, path, filled) | {"resolved": resolved}


def autocomplete(commands: list[Json], name: str, option: str, typed: str) -> Json:
    """Return the data of a command while an option is being filled in."""
    command, path, fields = _registered(commands, name)
    field = next(field for field in fields if field["name"] == option)
    assert field.get("autocomplete"), f"/{name} {option} asks for no suggestions"
    return _data(command, path, [{"name": option, "type": field["type"], "value": typed, "focused": True}])


def message_menu(world: World, commands: list[Json], name: str, message: Message) -> Json:
    """Return the data of an entry chosen in the context menu of a message."""
    command = next((one for one in commands if one["name"] == name and one.get("type") == MESSAGE_MENU), None)
    assert command is not None, f"there is no entry {name} in the menu of a message"
    resolved = {"messages": {str(message.id): world.message_payload(message)}}
    return {
        "id": command["id"],
        "name": name,
        "type": MESSAGE_MENU,
        "target_id": str(message.id),
        "resolved": resolved,
    }


def interaction_event(world: World, interaction: Interaction, data: Json) -> Json:
    """Return the gateway event of an interaction."""
    user, channel = interaction.user, interaction.channel
    payload: Json = {
        "id": str(interaction.id),
        "application_id": str(world.application_id),
        "type": interaction.kind,
        "data": data,
        "channel_id": str(channel.id),
        "channel": channel.payload(),
        "token": interaction.token,
        "version": 1,
        "locale": "en-US",
        "app_permissions": str(MEMBER),
        "attachment_size_limit": 10 << 20,
        "entitlements": [],
        "authorizing_integration_owners": {"0": str(channel.guild_id or 0)},
        "context": 0 if channel.guild_id else 1,
    }
    if channel.guild_id is None:
        payload["user"] = user.payload()
    else:
        member = world.member_payload(user) | {"user": user.payload(), "permissions": str(user.permissions)}
        payload |= {"guild_id": str(channel.guild_id), "guild_locale": "en-US", "member": member}
    if interaction.source is not None:
        payload["message"] = world.message_payload(interaction.source)
    return payload


def _registered(commands: list[Json], name: str) -> tuple[Json, str, list[Json]]:
    first, _, path = name.partition(" ")
    registered = {command["name"]: command for command in commands}
    assert first in registered, f"/{first} is not registered; there are {sorted(registered)}"
    command = registered[first]
    inner = {option["name"]: option for option in command.get("options", []) if option["type"] == SUB_COMMAND}
    assert not inner or path in inner, f"/{first} is run with one of {sorted(inner)}"
    assert inner or not path, f"/{first} has no sub-commands"
    return command, path, (inner[path] if path else command).get("options", [])


def _data(command: Json, path: str, filled: list[Json]) -> Json:
    options = [{"name": path, "type": SUB_COMMAND, "options": filled}] if path else filled
    return {"id": command["id"], "name": command["name"], "type": 1, "options": options}


def _option(world: World, field: Json, value: object, resolved: Json) -> Json:
    kind = field["type"]
    if kind == PERSON:
        assert isinstance(value, int), f"{field['name']} is a person's id"
        person = world.users[value]
        resolved.setdefault("users", {})[str(value)] = person.payload()
        member = world.member_payload(person) | {"permissions": str(person.permissions)}
        resolved.setdefault("members", {})[str(value)] = member
        value = str(value)
    elif kind == CHANNEL:
        assert isinstance(value, int), f"{field['name']} is a channel's id"
        channel = world.channels[value].payload() | {"permissions": str(MEMBER)}
        resolved.setdefault("channels", {})[str(value)] = channel
        value = str(value)
    choices = [choice["value"] for choice in field.get("choices") or []]
    assert not choices or value in choices, f"{field['name']} is one of {choices}"
    assert kind != SWITCH or isinstance(value, bool), f"{field['name']} is on or off"
    return {"name": field["name"], "type": kind, "value": value}
