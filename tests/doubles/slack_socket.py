"""Emulates Slack's Socket Mode: hello, envelopes, and redelivery without an acknowledgment within 3 seconds."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from aiohttp import WSMsgType, web

from tests.doubles.slack_world import APP_ID

REDELIVERY_SECONDS = (0.0, 60.0, 300.0)


@dataclass
class Delivery:
    """One envelope: delivery attempts, the response, and when it was sent and acknowledged (monotonic)."""

    kind: str
    payload: dict[str, Any]
    attempts: int = 0
    sent_at: float = 0.0
    acked_at: float = 0.0
    answer: dict[str, Any] | None = None
    acked: asyncio.Event = field(default_factory=asyncio.Event)


class SocketMode:
    """The WebSocket server. ``pace``: how many Slack seconds pass in a real second."""

    def __init__(
        self,
        *,
        ack_seconds: float,
        pace: float,
        violations: list[str],
        redelivery: Sequence[float] = REDELIVERY_SECONDS,
    ) -> None:
        self.deliveries: list[Delivery] = []
        self.connections: list[web.WebSocketResponse] = []
        self._ack_seconds = ack_seconds
        self._pace = pace
        self._redelivery = redelivery
        self._violations = violations
        self._tickets: set[str] = set()
        self._unacknowledged: dict[str, Delivery] = {}
        self._round_robin = itertools.count()
        self._tasks: set[asyncio.Task[None]] = set()
        self._connected = asyncio.Event()

    def ticket(self) -> str:
        """Return a ticket for one connection."""
        ticket = secrets.token_urlsafe(12)
        self._tickets.add(ticket)
        return ticket

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Serve one connection from hello to close."""
        ticket = request.query.get("ticket", "")
        if ticket not in self._tickets:
            return web.Response(status=400, text="bad ticket")
        self._tickets.discard(ticket)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.connections.append(socket)
        hello = {"type": "hello", "num_connections": len(self.connections), "connection_info": {"app_id": APP_ID}}
        await socket.send_json(hello)
        self._connected.set()
        try:
            async for message in socket:
                if message.type == WSMsgType.TEXT:
                    self._acknowledged(json.loads(message.data))
        finally:
            if socket in self.connections:
                self.connections.remove(socket)
        return socket

    def _acknowledged(self, message: dict[str, Any]) -> None:
        delivery = self._unacknowledged.pop(message.get("envelope_id", ""), None)
        if delivery is None:
            self._violations.append(f"an acknowledgment for an unknown envelope: {message}")
            return
        delivery.answer = message.get("payload")
        delivery.acked_at = time.monotonic()
        delivery.acked.set()

    def send(self, kind: str, payload: dict[str, Any]) -> Delivery:
        """Deliver in the background until acknowledged. Only events are redelivered; anything else fails."""
        delivery = Delivery(kind, payload)
        self.deliveries.append(delivery)
        task = asyncio.create_task(self._deliver(delivery))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return delivery

    async def _deliver(self, delivery: Delivery) -> None:
        for wait in (None, *self._redelivery):
            if wait is not None:
                await asyncio.sleep(wait / self._pace)
            if await self._attempt(delivery):
                return
            if delivery.kind != "events_api":
                break
        self._violations.append(f"{delivery.kind} was never acknowledged within {self._ack_seconds} s")

    async def _attempt(self, delivery: Delivery) -> bool:
        socket = await self._connection()
        envelope_id = secrets.token_hex(16)
        self._unacknowledged[envelope_id] = delivery
        envelope: dict[str, Any] = {
            "envelope_id": envelope_id,
            "type": delivery.kind,
            "payload": delivery.payload,
            "accepts_response_payload": delivery.kind != "events_api",
        }
        if delivery.kind == "events_api":
            reason = "timeout" if delivery.attempts else ""
            envelope |= {"retry_attempt": delivery.attempts, "retry_reason": reason}
        delivery.attempts += 1
        delivery.sent_at = delivery.sent_at or time.monotonic()
        with contextlib.suppress(ConnectionError):
            await socket.send_json(envelope)
        try:
            await asyncio.wait_for(delivery.acked.wait(), self._ack_seconds)
        except TimeoutError:
            return False
        return True

    async def _connection(self) -> web.WebSocketResponse:
        while not (alive := [socket for socket in self.connections if not socket.closed]):
            self._connected.clear()
            await self._connected.wait()
        return alive[next(self._round_robin) % len(alive)]

    async def refresh(self) -> None:
        """Ask every client to reconnect, as Slack does every few hours."""
        for socket in list(self.connections):
            await socket.send_json({"type": "disconnect", "reason": "refresh_requested", "debug_info": {}})

    async def drop(self) -> None:
        """Break every connection, as a network failure does."""
        for socket in list(self.connections):
            await socket.close()

    async def close(self) -> None:
        """Close every connection."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for socket in list(self.connections):
            await socket.close()
