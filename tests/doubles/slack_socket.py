"""Socket Mode as Slack speaks it: hello, envelopes, acks within 3 seconds or the event comes again."""

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
    """One envelope: how often it went out, what came back, and when it was first sent and acknowledged (monotonic)."""

    kind: str
    payload: dict[str, Any]
    attempts: int = 0
    sent_at: float = 0.0
    acked_at: float = 0.0
    answer: dict[str, Any] | None = None
    acked: asyncio.Event = field(default_factory=asyncio.Event)


class SocketMode:
    """The WebSocket side. ``pace`` is how many of Slack's seconds pass in a real one."""

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
        self._waiting: dict[str, Delivery] = {}
        self._turn = itertools.count()
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()

    def ticket(self) -> str:
        """A ticket for one connection."""
        ticket = secrets.token_urlsafe(12)
        self._tickets.add(ticket)
        return ticket

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """One connection from hello to close."""
        ticket = request.query.get("ticket", "")
        if ticket not in self._tickets:
            return web.Response(status=400, text="bad ticket")
        self._tickets.discard(ticket)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.connections.append(socket)
        hello = {"type": "hello", "num_connections": len(self.connections), "connection_info": {"app_id": APP_ID}}
        await socket.send_json(hello)
        self._changed.set()
        try:
            async for message in socket:
                if message.type == WSMsgType.TEXT:
                    self._acknowledged(json.loads(message.data))
        finally:
            if socket in self.connections:
                self.connections.remove(socket)
        return socket

    def _acknowledged(self, message: dict[str, Any]) -> None:
        delivery = self._waiting.pop(message.get("envelope_id", ""), None)
        if delivery is None:
            self._violations.append(f"an ack for an envelope that does not wait for one: {message}")
            return
        delivery.answer = message.get("payload")
        delivery.acked_at = time.monotonic()
        delivery.acked.set()

    def send(self, kind: str, payload: dict[str, Any]) -> Delivery:
        """Deliver in the background until it is acknowledged; events come again, the rest counts as failed."""
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
        self._waiting[envelope_id] = delivery
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
            self._changed.clear()
            await self._changed.wait()
        return alive[next(self._turn) % len(alive)]

    async def refresh(self) -> None:
        """Ask every client to connect anew, as Slack does every few hours, and close the old connections."""
        for socket in list(self.connections):
            await socket.send_json({"type": "disconnect", "reason": "refresh_requested", "debug_info": {}})

    async def drop(self) -> None:
        """Lose every connection, as a network does."""
        for socket in list(self.connections):
            await socket.close()

    async def close(self) -> None:
        """Hang up."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for socket in list(self.connections):
            await socket.close()
