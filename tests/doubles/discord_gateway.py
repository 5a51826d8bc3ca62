"""The gateway of the Discord double: WebSocket sessions, compressed as discord.py requests."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aiohttp import WSMsgType, web

from tests.doubles.discord_models import Json
from tests.doubles.discord_world import shard_of

if TYPE_CHECKING:
    from tests.doubles.discord import DiscordDouble

GUILDS, GUILD_MESSAGES, GUILD_REACTIONS = 1 << 0, 1 << 9, 1 << 10
DIRECT_MESSAGES, DIRECT_REACTIONS, MESSAGE_CONTENT = 1 << 12, 1 << 13, 1 << 15
PRIVILEGED = {"members": 1 << 1, "presences": 1 << 8, "message_content": MESSAGE_CONTENT}


class Socket:
    """One connection. zlib-stream keeps one dictionary for the whole connection."""

    def __init__(self, socket: web.WebSocketResponse, *, compressed: bool) -> None:
        self._socket = socket
        self._compressor = zlib.compressobj() if compressed else None

    async def send(self, payload: Json) -> None:
        data = json.dumps(payload).encode()
        with contextlib.suppress(ConnectionError, RuntimeError):
            if self._compressor is None:
                await self._socket.send_str(data.decode())
            else:
                await self._socket.send_bytes(
                    self._compressor.compress(data) + self._compressor.flush(zlib.Z_SYNC_FLUSH)
                )

    async def close(self, code: int) -> None:
        await self._socket.close(code=code)

    def abort(self) -> None:
        """End the connection without a close frame."""
        transport = self._socket._req.transport if self._socket._req else None
        if transport is not None:
            transport.abort()


@dataclass
class Session:
    """The events sent to a client, so that they can be replayed after a reconnect."""

    id: str
    intents: int
    socket: Socket | None
    shard: int = 0
    shards: int = 1
    log: list[Json] = field(default_factory=list)

    async def dispatch(self, event: str, data: Json) -> None:
        payload = {"op": 0, "t": event, "s": len(self.log) + 1, "d": data}
        self.log.append(payload)
        if self.socket is not None:
            await self.socket.send(payload)


class Gateway:
    """All sessions of the double."""

    def __init__(self, double: DiscordDouble) -> None:
        self._double = double
        self.sessions: dict[str, Session] = {}
        self.identified = 0
        self.resumed = 0
        self.heartbeats = 0
        self.broken_sessions = 0
        """How many of the next sessions begin with an event that no client can read."""
        self.changed: Callable[[], None] = lambda: None

    def end_sessions(self, shard: int) -> None:
        """Abort a shard's connections and delete its sessions, so that they cannot be resumed."""
        for session in list(self.sessions.values()):
            if session.shard == shard:
                del self.sessions[session.id]
                if session.socket is not None:
                    session.socket.abort()

    @property
    def connected(self) -> bool:
        return any(session.socket is not None for session in self.sessions.values())

    async def dispatch(
        self, event: str, data: Callable[[Session], Json], *, needs: int, guild_id: int | None = None
    ) -> None:
        """Send an event to every session that has the ``needs`` intents and whose shard has the guild."""
        for session in list(self.sessions.values()):
            if session.intents & needs == needs and shard_of(guild_id, session.shards) == session.shard:
                await session.dispatch(event, data(session))

    async def reconnect(self) -> None:
        """Ask every client to reconnect and resume (op 7), as Discord does before a restart."""
        for session in self.sessions.values():
            if session.socket is not None:
                socket, session.socket = session.socket, None
                await socket.send({"op": 7, "d": None})

    async def drop(self, shard: int | None = None) -> None:
        """Abort every connection, or those of one shard. The sessions can be resumed."""
        for session in self.sessions.values():
            if session.socket is not None and shard in (None, session.shard):
                socket, session.socket = session.socket, None
                socket.abort()

    async def handle(self, request: web.Request) -> web.WebSocketResponse:
        if request.query.get("v") != "10" or request.query.get("encoding") != "json":
            self._double.violations.append(f"unexpected gateway parameters: {dict(request.query)}")
        raw = web.WebSocketResponse()
        await raw.prepare(request)
        socket = Socket(raw, compressed=request.query.get("compress") == "zlib-stream")
        await socket.send({"op": 10, "d": {"heartbeat_interval": 41250}})
        session: Session | None = None
        async for message in raw:
            if message.type is not WSMsgType.TEXT:
                break
            payload = json.loads(message.data)
            if payload["op"] == 1:
                self.heartbeats += 1
                await socket.send({"op": 11, "d": None})
            elif payload["op"] == 2:
                session = await self._identify(socket, payload["d"])
            elif payload["op"] == 6:
                session = await self._resume(socket, payload["d"])
            self.changed()
        if session is not None and session.socket is socket:
            session.socket = None
            self.changed()
        return raw

    async def _identify(self, socket: Socket, data: Json) -> Session | None:
        if data["token"] != self._double.token:
            await socket.close(4004)
            return None
        for name, bit in PRIVILEGED.items():
            if data["intents"] & bit and name not in self._double.approved:
                await socket.close(4014)
                return None
        shard, shards = data.get("shard", [0, 1])
        if shards < self._double.shards or not 0 <= shard < shards:
            await socket.close(4011 if shards < self._double.shards else 4010)
            return None
        session = Session(secrets.token_hex(8), data["intents"], socket, shard, shards)
        self.sessions[session.id] = session
        self.identified += 1
        guilds = [one for one in self._double.world.guilds if shard_of(one, shards) == shard]
        if self.broken_sessions > 0:
            self.broken_sessions -= 1
            await session.dispatch("READY", {"v": 10})
            return session
        await session.dispatch("READY", self._ready(session, guilds))
        for guild_id in guilds if data["intents"] & GUILDS else []:
            await session.dispatch("GUILD_CREATE", self._double.world.guild_payload(guild_id))
        return session

    def _ready(self, session: Session, guilds: Sequence[int]) -> Json:
        world = self._double.world
        return {
            "v": 10,
            "user": world.bot.payload(),
            "guilds": [{"id": str(guild_id), "unavailable": True} for guild_id in guilds],
            "session_id": session.id,
            "resume_gateway_url": self._double.gateway_url,
            "shard": [session.shard, session.shards],
            "application": {"id": str(world.application_id), "flags": self._double.flags},
        }

    async def _resume(self, socket: Socket, data: Json) -> Session | None:
        session = self.sessions.get(data["session_id"])
        if session is None or data["token"] != self._double.token:
            await socket.send({"op": 9, "d": False})
            return None
        session.socket = socket
        for payload in session.log[data["seq"] or 0 :]:
            await socket.send(payload)
        await session.dispatch("RESUMED", {})
        self.resumed += 1
        return session

    async def close(self) -> None:
        """Close all open connections."""
        for session in self.sessions.values():
            if session.socket is not None:
                await session.socket.close(1000)
        await asyncio.sleep(0)
