"""A TCP proxy in front of PostgreSQL that can go silent: it keeps every connection open and passes nothing on.

```python
async with SilentNetwork(database_url) as network:
    database = Database(network.url)
    network.silent = True               # what is sent from now on never arrives, and new connections get no answer
```
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, suppress
from types import TracebackType

from sqlalchemy.engine import make_url


class SilentNetwork:
    """Passes bytes between clients on ``url`` and the server behind it, until it is ``silent``."""

    def __init__(self, url: str) -> None:
        self._server_url = make_url(url)
        self.silent = False
        self.url = ""
        self._accepted = 0
        self._silenced = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> SilentNetwork:
        self._listener = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = self._listener.sockets[0].getsockname()[1]
        url = self._server_url.set(host="127.0.0.1", port=port).difference_update_query(["host", "port"])
        self.url = url.render_as_string(hide_password=False)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.close()
        await _cancel(list(self._tasks))

    def silence_open_connections(self) -> None:
        """Make the connections that are open now silent for ever; later ones work."""
        self._silenced = self._accepted

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._accepted += 1
        number = self._accepted
        async with AsyncExitStack() as stack:
            stack.callback(self._tasks.discard, task)
            stack.push_async_callback(_close, writer)
            from_server, to_server = await self._connect()
            stack.push_async_callback(_close, to_server)
            passing = [
                asyncio.create_task(self._pass(number, reader, to_server)),
                asyncio.create_task(self._pass(number, from_server, writer)),
            ]
            stack.push_async_callback(_cancel, passing)
            with suppress(asyncio.CancelledError):
                await asyncio.wait(passing, return_when=asyncio.FIRST_COMPLETED)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host, port = self._server_url.query.get("host"), self._server_url.port or 5432
        if isinstance(host, str) and host.startswith("/"):
            return await asyncio.open_unix_connection(f"{host}/.s.PGSQL.{port}")
        return await asyncio.open_connection(self._server_url.host, port)

    async def _pass(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            if not self.silent and number > self._silenced:
                writer.write(data)
                await writer.drain()


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()
    with suppress(OSError):
        await writer.wait_closed()


async def _cancel(tasks: list[asyncio.Task[None]]) -> None:
    for one in tasks:
        one.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
