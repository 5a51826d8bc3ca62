"""Routes of the Discord double's REST API v10: users, channels, messages, threads, guilds and commands."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.doubles import discord_interactions as interactions
from tests.doubles.discord_models import DM, FORUM, MEMBER, NEWS, TEXT, THREAD, Attachment, Channel, Json, Message
from tests.doubles.discord_rules import ApiError, check_command, check_message, missing_permissions, policy_violations

if TYPE_CHECKING:
    from tests.doubles.discord import DiscordDouble


@dataclass
class Call:
    """One request to a route."""

    double: DiscordDouble
    method: str
    path: str
    args: dict[str, str]
    query: dict[str, str]
    body: Json | list[Json]
    files: list[Attachment]

    @property
    def json(self) -> Json:
        assert isinstance(self.body, dict)
        return self.body

    def number(self, name: str) -> int:
        return int(self.args[name])


GATEWAY_ONLY = frozenset(("channels", "threads", "members", "member_count", "joined_at", "presences", "voice_states"))
"""What a guild has in the gateway's events alone: https://docs.discord.com/developers/events/gateway-events."""

Route = Callable[[Call], Awaitable[tuple[int, object]]]


# --- the routes


async def _own_user(call: Call) -> tuple[int, object]:
    return 200, call.double.world.bot.payload() | {"verified": True, "mfa_enabled": False}


async def _user(call: Call) -> tuple[int, object]:
    user = call.double.world.users.get(call.number("user_id"))
    if user is None:
        raise ApiError(404, 10013, "Unknown User")
    return 200, user.payload()


async def _application(call: Call) -> tuple[int, object]:
    world = call.double.world
    return 200, {
        "id": str(world.application_id),
        "name": "Parley",
        "icon": None,
        "description": "",
        "summary": "",
        "rpc_origins": [],
        "bot_public": True,
        "bot_require_code_grant": False,
        "verify_key": "0" * 64,
        "owner": world.owner.payload(),
        "team": None,
        "flags": call.double.flags,
    }


async def _bot_gateway(call: Call) -> tuple[int, object]:
    limit = {"total": 1000, "remaining": 999, "reset_after": 0, "max_concurrency": 1}
    return 200, {"url": call.double.gateway_url, "shards": call.double.shards, "session_start_limit": limit}


async def _channel(call: Call) -> tuple[int, object]:
    return 200, call.double.world.accessible_channel(call.number("channel_id")).payload()


async def _edit_channel(call: Call) -> tuple[int, object]:
    channel = call.double.world.accessible_channel(call.number("channel_id"))
    if channel.locked:
        raise ApiError(403, 50013, "Missing Permissions")
    channel.archived = call.json.get("archived", channel.archived)
    return 200, channel.payload()


async def _post(call: Call) -> tuple[int, object]:
    world, body = call.double.world, call.json
    channel = world.accessible_channel(call.number("channel_id"))
    permission = "send_messages_in_threads" if channel.kind == THREAD else "send_messages"
    world.accessible_channel(channel.id, *(set() if channel.kind == DM else {permission}))
    if channel.recipient is not None and not channel.recipient.accepts_dms:
        raise ApiError(403, 50007, "Cannot send messages to this user")
    if channel.locked:
        raise ApiError(403, 160005, "Thread is locked")
    if channel.kind == FORUM:
        raise ApiError(400, 40058, "Cannot send a message in a forum channel")
    if body.get("message_reference") and "read_message_history" in channel.denied:
        raise ApiError(400, 160002, "Cannot reply without permission to read message history")
    _check_permissions(call, channel)
    check_message(body, files=len(call.files))
    call.double.violations += policy_violations(body)
    first = call.double.rest.nonces.get(str(body.get("nonce")))
    if body.get("enforce_nonce") and first is not None:
        return 200, world.message_payload(first)
    channel.archived = False
    message = await call.double.publish(channel, _message(call, channel))
    if body.get("nonce") is not None:
        call.double.rest.nonces[str(body["nonce"])] = message
    return 200, world.message_payload(message)


def _message(call: Call, channel: Channel) -> Message:
    body = call.json
    reference = body.get("message_reference")
    if reference and int(reference["message_id"]) not in channel.messages:
        if reference.get("fail_if_not_exists", True):
            raise ApiError(400, 50035, "Unknown message")
        reference = None
    if reference:
        # IDs may be sent as numbers; Discord returns them as text.
        reference = reference | {"message_id": str(reference["message_id"]), "channel_id": str(channel.id)}
    return Message(
        call.double.world.snowflake(),
        channel.id,
        call.double.world.bot,
        body.get("content") or "",
        embeds=body.get("embeds") or [],
        components=body.get("components") or [],
        attachments=call.files,
        flags=body.get("flags") or 0,
        nonce=body.get("nonce"),
        reference=reference,
    )


def _check_permissions(call: Call, channel: Channel) -> None:
    if call.json.get("embeds") and channel.kind != DM:
        call.double.world.accessible_channel(channel.id, "embed_links")
    if call.files and channel.kind != DM:
        call.double.world.accessible_channel(channel.id, "attach_files")


async def _edit(call: Call) -> tuple[int, object]:
    world, body = call.double.world, call.json
    channel = world.accessible_channel(call.number("channel_id"))
    message = world.message(channel.id, call.number("message_id"))
    if message.author is not world.bot:
        raise ApiError(403, 50005, "Cannot edit a message authored by another user")
    if channel.archived:
        raise ApiError(400, 50083, "Thread is archived")
    if channel.locked:
        raise ApiError(403, 160005, "Thread is locked")
    _check_permissions(call, channel)
    check_message(body, files=len(call.files), edit=True)
    call.double.violations += policy_violations(body)
    await call.double.update(message, body, call.files)
    return 200, world.message_payload(message)


async def _read_message(call: Call) -> tuple[int, object]:
    world = call.double.world
    return 200, world.message_payload(world.message(call.number("channel_id"), call.number("message_id")))


async def _history(call: Call) -> tuple[int, object]:
    """Return messages, newest first: at most 100."""
    world, query = call.double.world, call.query
    channel = world.accessible_channel(call.number("channel_id"), "read_message_history")
    if channel.kind == FORUM:
        raise ApiError(400, 50008, "Cannot send messages in a non-text channel")
    before, limit = int(query.get("before") or 1 << 63), int(query.get("limit") or 50)
    if not 1 <= limit <= 100:
        raise ApiError(400, 50035, "Invalid Form Body")
    visible = [message for message in channel.messages.values() if not (message.deleted or message.ephemeral)]
    after = int(query.get("after") or 0)
    found = sorted((message for message in visible if after < message.id < before), key=lambda one: one.id)
    chosen = found[:limit] if after else found[-limit:]
    return 200, [world.message_payload(message) for message in reversed(chosen)]


def _threads(call: Call, *, archived: bool, parent: int | None = None) -> dict[str, object]:
    found = [
        channel
        for channel in call.double.world.channels.values()
        if channel.kind == THREAD and channel.archived is archived and parent in (None, channel.parent_id)
    ]
    return {"threads": [channel.payload() for channel in found], "members": [], "has_more": False}


async def _active_threads(call: Call) -> tuple[int, object]:
    return 200, _threads(call, archived=False)


async def _archived_threads(call: Call) -> tuple[int, object]:
    channel = call.double.world.accessible_channel(call.number("channel_id"), "read_message_history")
    return 200, _threads(call, archived=True, parent=channel.id)


async def _guild(call: Call) -> tuple[int, object]:
    payload = call.double.world.guild_payload(call.number("guild_id"))
    return 200, {name: value for name, value in payload.items() if name not in GATEWAY_ONLY}


async def _guilds(call: Call) -> tuple[int, object]:
    world = call.double.world
    plain: Json = {"icon": None, "owner": False, "features": [], "permissions": str(MEMBER)}
    return 200, [plain | {"id": str(guild_id), "name": name} for guild_id, name in world.guilds.items()]


async def _guild_channels(call: Call) -> tuple[int, object]:
    world = call.double.world
    guild_id = call.number("guild_id")
    here = [channel for channel in world.channels.values() if channel.guild_id == guild_id and channel.kind != THREAD]
    return 200, [
        channel.payload() | {"permission_overwrites": channel.overwrites(world.bot_role_id)} for channel in here
    ]


async def _member(call: Call) -> tuple[int, object]:
    world = call.double.world
    user = world.users.get(call.number("user_id"))
    if user is None or not user.is_member(call.number("guild_id")):
        raise ApiError(404, 10007, "Unknown Member")
    return 200, world.member_payload(user) | {"user": user.payload()}


async def _public_gateway(call: Call) -> tuple[int, object]:
    return 200, {"url": call.double.gateway_url}


async def _delete(call: Call) -> tuple[int, object]:
    world = call.double.world
    message = world.message(call.number("channel_id"), call.number("message_id"))
    if message.author is not world.bot:
        raise missing_permissions()
    await call.double.remove(message)
    return 204, None


async def _start_thread(call: Call) -> tuple[int, object]:
    world = call.double.world
    channel = world.accessible_channel(call.number("channel_id"), "create_public_threads")
    if channel.kind not in (TEXT, NEWS):
        raise ApiError(400, 50024, "Cannot execute action on this channel type")
    message = world.message(channel.id, call.number("message_id"))
    if message.id in world.channels:
        raise ApiError(400, 160004, "A thread has already been created for this message")
    if not 1 <= len(call.json["name"]) <= 100:
        raise ApiError(400, 50035, "Invalid Form Body")
    thread = await call.double.open_thread(message, call.json["name"])
    return 201, thread.payload()


async def _open_dm(call: Call) -> tuple[int, object]:
    world = call.double.world
    return 200, world.dm(world.users[int(call.json["recipient_id"])]).payload()


async def _commands(call: Call) -> tuple[int, object]:
    return 200, call.double.commands


async def _put_commands(call: Call) -> tuple[int, object]:
    assert isinstance(call.body, list)
    world = call.double.world
    if len({command["name"] for command in call.body}) != len(call.body) or len(call.body) > 100:
        raise ApiError(400, 50035, "Invalid Form Body")
    stored = []
    for command in call.body:
        check_command(command)
        permissions = command.get("default_member_permissions")
        assigned = {"id": str(world.snowflake()), "application_id": str(world.application_id), "version": "1"}
        rights = {"default_member_permissions": None if permissions is None else str(permissions)}
        stored.append({"description": "", "type": 1} | command | assigned | rights)
    call.double.commands = stored
    call.double.command_syncs += 1
    return 200, stored


async def _typing(call: Call) -> tuple[int, object]:
    channel = call.double.world.accessible_channel(call.number("channel_id"))
    call.double.typing.append(channel.id)
    await asyncio.sleep(0)
    return 204, None


ROUTES: list[tuple[str, str, Route]] = [
    ("GET", "/users/@me", _own_user),
    ("POST", "/users/@me/channels", _open_dm),
    ("GET", "/oauth2/applications/@me", _application),
    ("GET", "/gateway/bot", _bot_gateway),
    ("GET", "/gateway", _public_gateway),
    ("GET", "/users/@me/guilds", _guilds),
    ("GET", "/users/{user_id}", _user),
    ("GET", "/guilds/{guild_id}/channels", _guild_channels),
    ("GET", "/guilds/{guild_id}/members/{user_id}", _member),
    ("GET", "/channels/{channel_id}", _channel),
    ("PATCH", "/channels/{channel_id}", _edit_channel),
    ("POST", "/channels/{channel_id}/typing", _typing),
    ("POST", "/channels/{channel_id}/messages", _post),
    ("GET", "/channels/{channel_id}/messages", _history),
    ("GET", "/channels/{channel_id}/messages/{message_id}", _read_message),
    ("GET", "/channels/{channel_id}/threads/archived/public", _archived_threads),
    ("GET", "/guilds/{guild_id}", _guild),
    ("GET", "/guilds/{guild_id}/threads/active", _active_threads),
    ("PATCH", "/channels/{channel_id}/messages/{message_id}", _edit),
    ("DELETE", "/channels/{channel_id}/messages/{message_id}", _delete),
    ("POST", "/channels/{channel_id}/messages/{message_id}/threads", _start_thread),
    ("GET", "/applications/{application_id}/commands", _commands),
    ("PUT", "/applications/{application_id}/commands", _put_commands),
    ("POST", "/interactions/{interaction_id}/{token}/callback", interactions.callback),
    ("POST", "/webhooks/{application_id}/{token}", interactions.follow_up),
    ("GET", "/webhooks/{application_id}/{token}/messages/{message_id}", interactions.read),
    ("PATCH", "/webhooks/{application_id}/{token}/messages/{message_id}", interactions.edit),
    ("DELETE", "/webhooks/{application_id}/{token}/messages/{message_id}", interactions.delete),
]
"""Method, path template and function of each route."""
