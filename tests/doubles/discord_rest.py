"""The REST API v10 of the Discord double: routes, permissions, rate limits."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aiohttp import web

from tests.doubles import discord_interactions as interactions
from tests.doubles.discord_world import (
    DM,
    FORUM,
    MEMBER,
    NEWS,
    TEXT,
    THREAD,
    ApiError,
    Attachment,
    Channel,
    Json,
    Message,
    check_command,
    check_message,
    manners,
    missing_permissions,
)

if TYPE_CHECKING:
    from tests.doubles.discord import DiscordDouble


@dataclass
class Call:
    """One request as the routes see it."""

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


Route = Callable[[Call], Awaitable[tuple[int, object]]]


@dataclass
class Bucket:
    """A rate limit: ``limit`` requests in ``per`` seconds, from the first of them on."""

    limit: int
    per: float
    began: float = 0.0
    used: int = 0

    def take(self, now: float) -> float:
        """Count a request; the seconds to wait if it is one too many, else 0."""
        if now - self.began >= self.per:
            self.began, self.used = now, 0
        if self.used >= self.limit:
            return self.per - (now - self.began)
        self.used += 1
        return 0.0

    def headers(self, name: str, now: float) -> dict[str, str]:
        left = max(0.0, self.per - (now - self.began))
        return {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(self.limit - self.used),
            "X-RateLimit-Reset": f"{time.time() + left:.3f}",
            "X-RateLimit-Reset-After": f"{left:.3f}",
            "X-RateLimit-Bucket": name,
        }


@dataclass
class Fault:
    """A failure that a test asked for."""

    method: str
    pattern: str
    status: int
    code: int
    times: int
    retry_after: float = 0.0


@dataclass
class Rest:
    """All routes, with what was counted on the way."""

    double: DiscordDouble
    limits: dict[str, tuple[int, float]]
    invalid: int
    """So many requests that were refused by 401, 403 or 429 within ten minutes are too many."""
    buckets: dict[str, Bucket] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    calls: list[tuple[str, str]] = field(default_factory=list)
    refusals: list[tuple[str, str, int]] = field(default_factory=list)
    nonces: dict[tuple[int, str], Message] = field(default_factory=dict)

    async def handle(self, request: web.Request) -> web.Response:
        """One request: token, rate limit, asked-for fault, route."""
        path = "/" + request.match_info["path"]
        self.calls.append((request.method, path))
        try:
            template, route, args = _find(request.method, path)
        except ApiError as refusal:
            self.double.violations.append(f"no such route: {request.method} {path}")
            return self._refuse(request.method, path, refusal, {})
        name = f"{request.method} {template}"
        open_route = "token" in args or path == "/gateway"
        if not open_route and request.headers.get("Authorization") != f"Bot {self.double.token}":
            return self._refuse(request.method, path, ApiError(401, 0, "401: Unauthorized"), {})
        if not open_route and (wait := self._all.take(time.monotonic())) > 0:
            return self._slow_down(request.method, path, wait, {}, everything=True)
        bucket = self._bucket(name, args)
        wait, now = bucket.take(time.monotonic()), time.monotonic()
        headers = bucket.headers(re.sub(r"\W+", "-", name), now)
        if wait > 0:
            return self._slow_down(request.method, path, wait, headers)
        fault = self._fault(request.method, path)
        if fault is not None:
            if fault.status == 429:
                return self._slow_down(request.method, path, fault.retry_after, headers)
            return self._refuse(request.method, path, ApiError(fault.status, fault.code, "asked for"), headers)
        body, files = await self._read(request)
        try:
            status, data = await route(Call(self.double, request.method, path, args, dict(request.query), body, files))
        except ApiError as refusal:
            return self._refuse(request.method, path, refusal, headers)
        self.double.changed()
        return _answer(status, data, headers)

    def __post_init__(self) -> None:
        self._all = Bucket(*self.limits["global"])
        """Of all requests of the bot but those that carry an interaction's own token."""
        self._invalid: deque[float] = deque()

    def _bucket(self, name: str, args: dict[str, str]) -> Bucket:
        major = args.get("channel_id") or args.get("token") or ""
        limit, per = self.limits.get(name, self.limits["*"])
        return self.buckets.setdefault(f"{name}:{major}", Bucket(limit, per))

    def _fault(self, method: str, path: str) -> Fault | None:
        for fault in self.faults:
            if fault.times > 0 and fault.method == method and re.search(fault.pattern, path):
                fault.times -= 1
                return fault
        return None

    def _slow_down(
        self, method: str, path: str, wait: float, headers: dict[str, str], *, everything: bool = False
    ) -> web.Response:
        self._refused(method, path, 429)
        body = {"message": "You are being rate limited.", "retry_after": round(wait, 3), "global": everything}
        whole = {"X-RateLimit-Global": "true", "X-RateLimit-Scope": "global"} if everything else {}
        return _answer(429, body, headers | whole | {"Via": "1.1 double", "Retry-After": f"{wait:.3f}"})

    def _refused(self, method: str, path: str, status: int) -> None:
        self.refusals.append((method, path, status))
        if status not in (401, 403, 429):
            return
        now = time.monotonic()
        self._invalid.append(now)
        while self._invalid[0] <= now - 600.0:
            self._invalid.popleft()
        if len(self._invalid) == self.invalid:
            self.double.violations.append(
                f"{self.invalid} invalid requests within ten minutes: the address is shut out"
            )

    def _refuse(self, method: str, path: str, refusal: ApiError, headers: dict[str, str]) -> web.Response:
        self._refused(method, path, refusal.status)
        return _answer(refusal.status, refusal.body, headers)

    async def _read(self, request: web.Request) -> tuple[Json | list[Json], list[Attachment]]:
        if request.content_type == "multipart/form-data":
            form = await request.post()
            files = [
                self.double.world.add_file(part.filename, part.content_type, part.file.read())
                for part in form.values()
                if isinstance(part, web.FileField)
            ]
            return json.loads(str(form["payload_json"])), files
        raw = await request.read()
        return (json.loads(raw) if raw else {}), []


def _answer(status: int, data: object, headers: dict[str, str]) -> web.Response:
    if data is None:
        return web.Response(status=status, headers=headers)
    # The library reads JSON only under exactly this content type.
    return web.Response(
        status=status, body=json.dumps(data).encode(), headers=headers | {"Content-Type": "application/json"}
    )


# --- routes


async def _me(call: Call) -> tuple[int, object]:
    return 200, call.double.world.bot.payload() | {"verified": True, "mfa_enabled": False}


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


async def _gateway(call: Call) -> tuple[int, object]:
    limit = {"total": 1000, "remaining": 999, "reset_after": 0, "max_concurrency": 1}
    return 200, {"url": call.double.gateway_url, "shards": call.double.shards, "session_start_limit": limit}


async def _channel(call: Call) -> tuple[int, object]:
    return 200, call.double.world.open(call.number("channel_id")).payload()


async def _edit_channel(call: Call) -> tuple[int, object]:
    channel = call.double.world.open(call.number("channel_id"))
    if channel.locked:
        raise ApiError(403, 50013, "Missing Permissions")
    channel.archived = call.json.get("archived", channel.archived)
    return 200, channel.payload()


async def _post(call: Call) -> tuple[int, object]:
    world, body = call.double.world, call.json
    channel = world.open(call.number("channel_id"))
    needed = "send_messages_in_threads" if channel.kind == THREAD else "send_messages"
    world.open(channel.id, *(set() if channel.kind == DM else {needed}))
    if channel.recipient is not None and not channel.recipient.takes_dms:
        raise ApiError(403, 50007, "Cannot send messages to this user")
    if channel.locked:
        raise ApiError(403, 160005, "Thread is locked")
    _may_embed(call, channel)
    check_message(body, files=len(call.files))
    call.double.violations += manners(body)
    repeated = call.double.rest.nonces.get((channel.id, str(body.get("nonce"))))
    if body.get("enforce_nonce") and repeated is not None:
        return 200, world.message_payload(repeated)
    channel.archived = False
    message = await call.double.tell(channel, _message(call, channel))
    if body.get("nonce") is not None:
        call.double.rest.nonces[(channel.id, str(body["nonce"]))] = message
    return 200, world.message_payload(message)


def _message(call: Call, channel: Channel) -> Message:
    body = call.json
    reference = body.get("message_reference")
    if reference and int(reference["message_id"]) not in channel.messages:
        if reference.get("fail_if_not_exists", True):
            raise ApiError(400, 50035, "Unknown message")
        reference = None
    if reference:
        # Ids may be sent as numbers and come back as text.
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


def _may_embed(call: Call, channel: Channel) -> None:
    if call.json.get("embeds") and channel.kind != DM:
        call.double.world.open(channel.id, "embed_links")
    if call.files and channel.kind != DM:
        call.double.world.open(channel.id, "attach_files")


async def _edit(call: Call) -> tuple[int, object]:
    world, body = call.double.world, call.json
    channel = world.open(call.number("channel_id"))
    message = world.message(channel.id, call.number("message_id"))
    if message.author is not world.bot:
        raise ApiError(403, 50005, "Cannot edit a message authored by another user")
    if channel.archived:
        raise ApiError(400, 50083, "Thread is archived")
    if channel.locked:
        raise ApiError(403, 160005, "Thread is locked")
    _may_embed(call, channel)
    check_message(body, files=len(call.files), edit=True)
    call.double.violations += manners(body)
    await call.double.change(message, body, call.files)
    return 200, world.message_payload(message)


async def _read_message(call: Call) -> tuple[int, object]:
    world = call.double.world
    return 200, world.message_payload(world.message(call.number("channel_id"), call.number("message_id")))


async def _history(call: Call) -> tuple[int, object]:
    """Newest first; at most 100."""
    world, query = call.double.world, call.query
    channel = world.open(call.number("channel_id"), "read_message_history")
    if channel.kind == FORUM:
        raise ApiError(400, 50008, "Cannot send messages in a non-text channel")
    before, limit = int(query.get("before") or 1 << 63), int(query.get("limit") or 50)
    if not 1 <= limit <= 100:
        raise ApiError(400, 50035, "Invalid Form Body")
    kept = [message for message in channel.messages.values() if not (message.deleted or message.ephemeral)]
    after = int(query.get("after") or 0)
    found = sorted((message for message in kept if after < message.id < before), key=lambda one: one.id)
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
    channel = call.double.world.open(call.number("channel_id"), "read_message_history")
    return 200, _threads(call, archived=True, parent=channel.id)


async def _guild(call: Call) -> tuple[int, object]:
    return 200, call.double.world.guild_payload(call.number("guild_id"))


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
    user = world.users[call.number("user_id")]
    return 200, world.member_payload(user) | {"user": user.payload()}


async def _open_gateway(call: Call) -> tuple[int, object]:
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
    channel = world.open(call.number("channel_id"), "create_public_threads")
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
        own = {"id": str(world.snowflake()), "application_id": str(world.application_id), "version": "1"}
        rights = {"default_member_permissions": None if permissions is None else str(permissions)}
        stored.append({"description": "", "type": 1} | command | own | rights)
    call.double.commands = stored
    call.double.synced += 1
    return 200, stored


async def _typing(call: Call) -> tuple[int, object]:
    call.double.world.open(call.number("channel_id"))
    await asyncio.sleep(0)
    return 204, None


_ROUTES: list[tuple[str, str, Route]] = [
    ("GET", "/users/@me", _me),
    ("POST", "/users/@me/channels", _open_dm),
    ("GET", "/oauth2/applications/@me", _application),
    ("GET", "/gateway/bot", _gateway),
    ("GET", "/gateway", _open_gateway),
    ("GET", "/users/@me/guilds", _guilds),
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


def _find(method: str, path: str) -> tuple[str, Route, dict[str, str]]:
    for known, template, route in _ROUTES:
        pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", template)
        found = re.fullmatch(pattern, path)
        if found and known == method:
            return template, route, found.groupdict()
    raise ApiError(404, 0, "404: Not Found")
