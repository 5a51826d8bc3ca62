"""Opens PostgreSQL connections: every pool, the migrations and LISTEN use these parameters.

A network that goes silent never fails a statement: TCP keepalives and a bound for each round trip do. No statement is
prepared on the server, because the server connections of a pooler in transaction mode are shared, and so would be the
names of the prepared statements. That costs 0.7 ms of planning for an acceptance and 7 ms for a search.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, Self, TypeVar

import psycopg
from psycopg.abc import PQGen, PQGenConn
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import ConnStatus
from sqlalchemy import Engine, create_engine
from sqlalchemy.engine import URL, make_url
from sqlalchemy.pool import NullPool

from bot.store.database import tls

Result = TypeVar("Result")

CONNECT_SECONDS = 5
ROUND_TRIP_SECONDS = 120.0
"""Seconds that one round trip may take, unless its connection says otherwise. The longest is waiting for a lock."""
CANCEL_SECONDS = 0.5
"""Seconds that the server has to end a canceled statement. After that the connection is dropped.

Slack waits 3 s for an acknowledgment, and 2.4 s of them are for storing the message.
"""
LATE_SECONDS = 0.5
"""If the event loop notices a bound this many seconds too late, the process was paused or got no processor time. The
round trip then gets this many seconds more, to read an answer that has arrived."""
PARAMETERS: dict[str, int] = {
    "connect_timeout": CONNECT_SECONDS,
    "keepalives": 1,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
"""Connection parameters of libpq, which an address can override. A host that has gone is noticed within about 11 s."""
IDLE_TRANSACTION_SECONDS = 300
"""Seconds without a statement after which the server rolls an open transaction back. None is open across a model call.

The server may not learn that a client has gone: its transaction would keep its locks for ever. Between the round trips
of a pipeline, PostgreSQL does not count these seconds; the keepalives below still hold there.
"""
_LOOK_AFTER_CLIENT = """
    SELECT set_config('idle_in_transaction_session_timeout', %(transaction)s, false),
           set_config('tcp_keepalives_idle', %(keepalives_idle)s, false),
           set_config('tcp_keepalives_interval', %(keepalives_interval)s, false),
           set_config('tcp_keepalives_count', %(keepalives_count)s, false)
    WHERE pg_backend_pid() = %(process)s
"""
"""Lets the server notice within 11 s, instead of two hours, that the client's host has gone.

It is a statement because poolers refuse the parameter ``options``. Through a socket file it changes nothing. Through a
pooler it sets and returns nothing: the pooler names another process than the server's, it lends the server connection
to other applications, and it looks after its clients itself.
"""
POOLER_HINT = "pgbouncer"
"""A query parameter of addresses that hosting services hand out. libpq refuses it; it says nothing that matters here.

No statement is prepared anyway.
"""
STRICT = "verify-full"
"""The ``sslmode`` that checks the server's certificate and the name in it."""


def address(url: str) -> URL:
    """Return the database address with parameters that PostgreSQL's own library can use.

    ``sslrootcert=system`` becomes the file of the authorities, with the strict check that libpq couples with it.
    """
    made = make_url(url).difference_update_query([POOLER_HINT])
    if made.query.get("sslrootcert") != tls.SYSTEM or made.query.get("sslmode", STRICT) != STRICT:
        return made
    return made.update_query_dict({"sslrootcert": tls.system_authorities(), "sslmode": STRICT})


def driver_url(url: str) -> str:
    """Return the address with the psycopg driver that SQLAlchemy needs."""
    return address(url).set(drivername="postgresql+psycopg").render_as_string(hide_password=False)


def plain_url(url: str) -> str:
    """Return the address as psycopg itself takes it."""
    return address(url).set(drivername="postgresql").render_as_string(hide_password=False)


def parameters(url: str) -> dict[str, Any]:
    """Return the parameters for psycopg: those of the address, and ``PARAMETERS``. Raises psycopg.ProgrammingError."""
    return {**PARAMETERS, **conninfo_to_dict(plain_url(url)), "prepare_threshold": None}


def migration_engine(url: str) -> Engine:
    """Return a blocking engine for the migrations. It bounds no round trip, because building an index takes long."""
    defaults = {name: value for name, value in PARAMETERS.items() if name not in address(url).query}
    return create_engine(driver_url(url), poolclass=NullPool, connect_args={**defaults, "prepare_threshold": None})


_attempts: ContextVar[list[PQGenConn[Any]]] = ContextVar("_attempts")
"""The attempts to open a connection that the current task makes."""


class BoundedConnection(psycopg.AsyncConnection[Any]):
    """A connection on which no round trip, and no cancellation, takes longer than its bound.

    At the bound, the socket is shut down: whatever waits for it ends with ``psycopg.OperationalError``.
    """

    round_trip_seconds: float = ROUND_TRIP_SECONDS
    is_pooled: bool = False
    """Whether a pooler stands between, so that settings are made for one transaction only."""
    _waiting: asyncio.TimerHandle | None = None
    """The timer that ends the round trip under way."""

    @classmethod
    async def connect(cls, conninfo: str = "", **parameters: Any) -> Self:
        """Open a connection. Close the socket of every attempt that fails, times out or is canceled.

        psycopg leaves such a socket to the garbage collector. Until then, the server waits for a password and keeps one
        of its places, for up to a minute (``authentication_timeout``). Raises psycopg.Error.
        """
        attempts: list[PQGenConn[Any]] = []
        before = _attempts.set(attempts)
        try:
            opened = await super().connect(conninfo, **parameters)
        finally:
            _attempts.reset(before)
            for attempt in attempts:
                attempt.close()
        try:
            opened.round_trip_seconds, usual = CONNECT_SECONDS, opened.round_trip_seconds
            limits = {**PARAMETERS, **parameters, "process": opened.info.backend_pid}
            looked_after = await opened.execute(_LOOK_AFTER_CLIENT, _client_limits(limits))
            opened.is_pooled = await looked_after.fetchone() is None
            await opened.commit()
            opened.round_trip_seconds = usual
        except BaseException:
            opened.pgconn.finish()
            raise
        return opened

    @classmethod
    def _connect_gen(cls, conninfo: str = "") -> PQGenConn[Self]:
        """Return an attempt to connect, and note it for ``connect``, which ends it."""
        attempt = super()._connect_gen(conninfo)
        _attempts.get().append(attempt)
        return attempt

    async def wait(self, gen: PQGen[Result], *args: Any, **more: Any) -> Result:
        """Wait for one exchange with the server. Raises psycopg.OperationalError at the bound."""
        if more.get("timeout") is not None:
            return await super().wait(gen, *args, **more)
        loop, seconds = asyncio.get_running_loop(), self.round_trip_seconds
        due = loop.time() + seconds
        self._waiting = loop.call_at(due, self._bound_reached, due)
        try:
            return await super().wait(gen, *args, **more)
        except psycopg.OperationalError:
            if loop.time() >= due:
                raise psycopg.OperationalError(f"no answer within {seconds:g} s") from None
            raise
        finally:
            self._waiting.cancel()
            self._waiting = None

    def _bound_reached(self, due: float) -> None:
        """End the round trip, unless this process itself was late: then the answer may have arrived in the meantime."""
        loop = asyncio.get_running_loop()
        if loop.time() - due > LATE_SECONDS:
            self._waiting = loop.call_later(LATE_SECONDS, self.shut_down)
        else:
            self.shut_down()

    async def cancel_safe(self, *, timeout: float = CANCEL_SECONDS) -> None:  # noqa: ASYNC109
        """Ask the server to end the current statement. If it does not end in time, the connection is dropped."""
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = asyncio.get_running_loop().call_later(CANCEL_SECONDS, self.shut_down)
        await super().cancel_safe(timeout=min(timeout, CANCEL_SECONDS))

    def shut_down(self) -> None:
        """End both directions of the socket at once, without a word to the server."""
        if self.closed or self.pgconn.status != ConnStatus.OK:
            return
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(self.pgconn.socket)) as copied:
            copied.shutdown(socket.SHUT_RDWR)


def _client_limits(connection_parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of ``_LOOK_AFTER_CLIENT``."""
    keepalives = {name: str(connection_parameters[name]) for name in PARAMETERS if name.startswith("keepalives_")}
    return {
        **keepalives,
        "transaction": str(1000 * IDLE_TRANSACTION_SECONDS),
        "process": connection_parameters["process"],
    }


def connect_blocking(url: str) -> psycopg.Connection[Any]:
    """Open a connection for a command that runs for minutes. It bounds no round trip. Raises psycopg.Error."""
    return psycopg.connect(**parameters(url))


async def connect(url: str) -> BoundedConnection:
    """Open a connection in autocommit mode. Raises psycopg.Error."""
    connection: BoundedConnection = await BoundedConnection.connect(**parameters(url), autocommit=True)
    return connection
