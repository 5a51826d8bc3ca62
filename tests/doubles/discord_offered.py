"""What Discord's own client makes of a slash command: sub-commands, typed options, resolved people and channels."""

from __future__ import annotations

from tests.doubles.discord_world import ADMINISTRATOR, MEMBER, SUB_COMMAND, Json, User, World

TEXT, SWITCH, PERSON, CHANNEL, FILE = 3, 5, 6, 7, 11


def chosen(
    world: World,
    commands: list[Json],
    name: str,
    options: dict[str, object],
    file: tuple[str, str, bytes] | None,
    user: User,
) -> Json:
    """The data of a command that was sent off. Fails as a test where the client would not offer it so."""
    command, path, fields = _found(commands, name)
    needed = command["default_member_permissions"]
    assert needed is None or user.permissions & (int(needed) | ADMINISTRATOR), f"{user.name} is not offered /{name}"
    known = {field["name"]: field for field in fields}
    missing = [key for key, field in known.items() if field.get("required") and key not in options]
    assert not missing, f"/{name} needs {missing}"
    assert set(options) <= set(known), f"/{name} takes {sorted(known)}"
    resolved: Json = {}
    given = [_filled(world, known[key], value, resolved) for key, value in options.items()]
    if file is not None:
        sent = world.add_file(*file)
        key = next(key for key, field in known.items() if field["type"] == FILE)
        given.append({"name": key, "type": FILE, "value": str(sent.id)})
        resolved["attachments"] = {str(sent.id): sent.payload()}
    return _data(command, path, given) | {"resolved": resolved}


def typing(commands: list[Json], name: str, option: str, typed: str) -> Json:
    """The data of a command in which an option is being filled in."""
    command, path, fields = _found(commands, name)
    field = next(field for field in fields if field["name"] == option)
    assert field.get("autocomplete"), f"/{name} {option} asks for no suggestions"
    return _data(command, path, [{"name": option, "type": field["type"], "value": typed, "focused": True}])


def _found(commands: list[Json], name: str) -> tuple[Json, str, list[Json]]:
    first, _, path = name.partition(" ")
    known = {command["name"]: command for command in commands}
    assert first in known, f"/{first} is not registered; there are {sorted(known)}"
    command = known[first]
    inner = {option["name"]: option for option in command.get("options", []) if option["type"] == SUB_COMMAND}
    assert not inner or path in inner, f"/{first} is run with one of {sorted(inner)}"
    assert inner or not path, f"/{first} has no sub-commands"
    return command, path, (inner[path] if path else command).get("options", [])


def _data(command: Json, path: str, given: list[Json]) -> Json:
    options = [{"name": path, "type": SUB_COMMAND, "options": given}] if path else given
    return {"id": command["id"], "name": command["name"], "type": 1, "options": options}


def _filled(world: World, field: Json, value: object, resolved: Json) -> Json:
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
        shown = world.channels[value].payload() | {"permissions": str(MEMBER)}
        resolved.setdefault("channels", {})[str(value)] = shown
        value = str(value)
    choices = [choice["value"] for choice in field.get("choices") or []]
    assert not choices or value in choices, f"{field['name']} is one of {choices}"
    assert kind != SWITCH or isinstance(value, bool), f"{field['name']} is on or off"
    return {"name": field["name"], "type": kind, "value": value}
