"""A TCP proxy whose network breaks in the ways that networks do: it stalls, goes silent, and loses connections.

```python
async with FaultyNetwork(database_url) as network:
    database = Database(network.url)
    network.silent = True               # what is sent from now on never arrives, and new connections get no answer
```

``url`` keeps its port for as long as the proxy is open, also while it refuses connections.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Self

from sqlalchemy.engine import make_url

CHUNK = 65_536
NO_LINGER = struct.pack("ii", 1, 0)
"""Makes the kernel send a reset instead of an orderly end when the socket is closed."""

Side = Literal["client", "server"]


@dataclass(eq=False)
class _Connection:
    """Both ends of a connection. ``silenced``: what is sent never arrives. ``halved``: only one end knows it ended."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    silenced: bool = False
    halved: bool = False
    left: int | None = None
    """Bytes that the server may still send before the connection is reset; None for any number."""

    def abort(self, *, reset: bool = False) -> None:
        """End both connections at once, by a reset if wanted."""
        for writer in (self.client, self.server):
            if reset and (plain := writer.get_extra_info("socket")) is not None and plain.family != socket.AF_UNIX:
                with suppress(OSError):
                    plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
            writer.transport.abort()


class FaultyNetwork:
    """Passes bytes between clients on ``url`` and the server behind it. Everything works until it is told not to.

    ``keepalive`` is the number of seconds after which keepalives end a connection that has lost bytes, on either side;
    None for a network that answers keepalives although it passes nothing on, as a proxy does that hangs.
    """

    def __init__(self, url: str, *, keepalive: float | None = None) -> None:
        self._keepalive = keepalive
        self._server_url = make_url(url)
        self.silent = False
        """Pass nothing on, but keep every connection open and accept more."""
        self.delay = 0.0
        """Seconds by which each piece arrives late."""
        self.piece = CHUNK
        """The most bytes that arrive at once."""
        self.accepted = 0
        """Connections that clients have opened so far."""
        self._port = 0
        self._listener: asyncio.Server | None = None
        self._connections: set[_Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """The same address through this network."""
        through = self._server_url.set(host="127.0.0.1", port=self._port).difference_update_query(["host", "port"])
        return through.render_as_string(hide_password=False)

    @property
    def open_connections(self) -> int:
        """Return how many connections are open now."""
        return len(self._connections)

    async def __aenter__(self) -> Self:
        await self.mend()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.cut()

    # --- faults

    async def cut(self) -> None:
        """Refuse connections, and end the open ones."""
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def mend(self) -> None:
        """Accept connections, and pass on at once everything that is sent. What was lost stays lost."""
        self.silent, self.delay, self.piece = False, 0.0, CHUNK
        if self._listener is None:
            self._listener = await asyncio.start_server(self._serve, "127.0.0.1", self._port)
            self._port = self._listener.sockets[0].getsockname()[1]

    def silence_open_connections(self) -> None:
        """Make the connections that are open now silent for ever; later ones work."""
        for one in self._connections:
            self._lose(one)

    def close_open_connections(self) -> None:
        """End the open connections in an orderly way, in mid-statement."""
        for one in list(self._connections):
            one.abort()

    def reset_open_connections(self) -> None:
        """End the open connections by a reset."""
        for one in list(self._connections):
            one.abort(reset=True)

    def end_one_side(self, side: Side) -> None:
        """Tell only one side of the open connections that they have ended. The other side waits for its keepalives."""
        for one in list(self._connections):
            one.halved = True
            self._lose(one)
            with suppress(OSError, RuntimeError):
                (one.client if side == "client" else one.server).write_eof()

    def reset_after(self, count: int) -> None:
        """Reset each open connection once its server has sent ``count`` more bytes, in the middle of a message."""
        for one in self._connections:
            one.left = count

    def _lose(self, one: _Connection) -> None:
        """Pass nothing on for this connection any more."""
        if not one.silenced and self._keepalive is not None:
            asyncio.get_running_loop().call_later(self._keepalive, one.abort)
        one.silenced = True

    # --- passing

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self.accepted += 1
        try:
            from_server, to_server = await self._connect()
        except BaseException as error:
            writer.transport.abort()
            if isinstance(error, OSError | asyncio.CancelledError):
                return
            raise
        one = _Connection(writer, to_server)
        self._connections.add(one)
        passing = [
            asyncio.create_task(self._pass(one, reader, to_server)),
            asyncio.create_task(self._pass(one, from_server, writer, limited=True)),
        ]
        try:
            await asyncio.wait(passing, return_when=asyncio.FIRST_COMPLETED)
            if one.halved:  # One side has gone; the other one is not told.
                await asyncio.wait(passing)
        except asyncio.CancelledError:
            pass
        finally:
            one.abort()
            self._connections.discard(one)
            for direction in passing:
                direction.cancel()
            await asyncio.gather(*passing, return_exceptions=True)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host, port = self._server_url.query.get("host"), self._server_url.port or 5432
        if isinstance(host, str) and host.startswith("/"):
            return await asyncio.open_unix_connection(f"{host}/.s.PGSQL.{port}")
        return await asyncio.open_connection(self._server_url.host, port)

    async def _pass(
        self,
        one: _Connection,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        limited: bool = False,
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(CHUNK):
                for start in range(0, len(data), self.piece):
                    if self.delay:
                        await asyncio.sleep(self.delay)
                    if self.silent or one.silenced:
                        self._lose(one)
                        break
                    piece = data[start : start + self.piece]
                    if limited and one.left is not None:
                        piece, one.left = piece[: one.left], one.left - len(piece)
                    writer.write(piece)
                    await writer.drain()
                    if limited and one.left is not None and one.left <= 0:
                        one.abort(reset=True)
                        return
