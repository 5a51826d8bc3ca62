"""Sends requests like the page, reads the event stream like a browser, and applies the events like the page does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp

THREAD = "thread-0001"
QUESTION = {"thread": THREAD, "id": "m1", "text": "What is the <limit>?", "name": "Ada"}
"""A question that the scripted dispatcher answers, as the body of a request."""


@dataclass
class Received:
    """An event of the stream."""

    id: str
    kind: str
    data: dict[str, Any]


@dataclass
class Stream:
    """The events received so far, and in ``shown`` the messages that the page would show."""

    events: list[Received] = field(default_factory=list)
    shown: dict[str, dict[str, Any]] = field(default_factory=dict)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def last_id(self) -> str:
        return self.events[-1].id

    def apply(self, event: Received) -> None:
        self.events.append(event)
        if event.kind == "message":
            self.shown[event.data["id"]] = event.data
        elif event.kind == "patch":
            self._patch(event.data)
        elif event.kind == "gone":
            self.shown.pop(event.data["id"], None)
        self.changed.set()

    def _patch(self, patch: dict[str, Any]) -> None:
        blocks = self.shown.get(patch["id"], {"blocks": []})["blocks"]
        kept = blocks[: patch["keep"]]
        if patch["id"] in self.shown and len("".join(kept).encode("utf-16-le")) == 2 * patch["chars"]:
            self.shown[patch["id"]]["blocks"] = kept + patch["blocks"]

    def of(self, role: str) -> list[dict[str, Any]]:
        return [view for view in self.shown.values() if view["role"] == role]

    def text(self, role: str = "assistant") -> str:
        return "\n".join("".join(view["blocks"]) for view in self.of(role))

    async def until(self, condition: Callable[[Stream], bool]) -> None:
        async with asyncio.timeout(60):
            while not condition(self):
                self.changed.clear()
                await self.changed.wait()

    async def ended(self, role: str = "assistant", count: int = 1) -> None:
        """Wait until this many messages of the role are final."""
        await self.until(lambda stream: sum(view["final"] for view in stream.of(role)) >= count)


async def _read(response: aiohttp.ClientResponse) -> AsyncIterator[Received]:
    """Yield the events. One without an ID, such as a heartbeat, has the ID of the event before, as in a browser."""
    fields: dict[str, str] = {}
    last = ""
    async for raw in response.content:
        line = raw.decode().rstrip("\n")
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
        elif "data" in fields:
            last = fields.get("id", last)
            yield Received(last, fields["event"], json.loads(fields["data"]))
            fields = {}


@asynccontextmanager
async def following(
    session: aiohttp.ClientSession, *, last_id: str | None = None, into: Stream | None = None
) -> AsyncIterator[Stream]:
    """Open the event stream. Waits for the first event, unless the stream continues after ``last_id``."""
    stream = into or Stream()
    headers = {"Last-Event-ID": last_id} if last_id else {}
    response = await session.get("/api/events", headers=headers)
    assert response.headers["Content-Type"].startswith("text/event-stream")

    async def read() -> None:
        async for event in _read(response):
            stream.apply(event)

    task = asyncio.create_task(read())
    try:
        if last_id is None:
            await stream.until(lambda seen: bool(seen.events))
        yield stream
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        response.close()


async def post(http: aiohttp.ClientSession, path: str, body: dict[str, Any], **headers: str) -> tuple[int, Any]:
    """Post JSON, and return the status and the JSON of the response."""
    async with http.post(path, json=body, headers=headers) as response:
        return response.status, await response.json()


async def get(http: aiohttp.ClientSession, path: str, **headers: str) -> tuple[int, Any]:
    """Return the status and the JSON of a response."""
    async with http.get(path, headers=headers) as response:
        return response.status, await response.json()
