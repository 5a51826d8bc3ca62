"""Runs a real PgBouncer before the test database. Skipped if it is not installed; on Debian: apt install pgbouncer."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psycopg
import pytest
from sqlalchemy.engine import make_url

from tests.certificates import Certificates
from tests.doubles.faulty_network import FaultyNetwork
from tests.web.serving import free_port

PROGRAM = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
requires_pgbouncer = pytest.mark.skipif(PROGRAM is None, reason="no pgbouncer; apt install pgbouncer")

CONFIG = """
[databases]
* = host=127.0.0.1 port={server}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {folder}/users
pool_mode = {mode}
default_pool_size = {size}
logfile = {folder}/log
"""
TLS = """
client_tls_sslmode = require
client_tls_cert_file = {folder}/server.crt
client_tls_key_file = {folder}/server.key
"""
"""Connections to PgBouncer are encrypted, and others are refused."""


@asynccontextmanager
async def pgbouncer(
    url: str, folder: Path, *, mode: str = "transaction", size: int = 2, certificates: Certificates | None = None
) -> AsyncIterator[str]:
    """Yield the address of the same database through a PgBouncer with so many server connections.

    With ``certificates``, which must be in ``folder``, it takes encrypted connections only.
    """
    assert PROGRAM
    address, port = make_url(url), free_port()
    async with FaultyNetwork(url) as network:
        server = make_url(network.url).port
        (folder / "users").write_text(f'"{address.username}" "{address.password}"\n')
        config = CONFIG if certificates is None else CONFIG + TLS
        (folder / "pgbouncer.ini").write_text(
            config.format(server=server, port=port, folder=folder, mode=mode, size=size)
        )
        as_user = _not_root(folder)
        process = subprocess.Popen([PROGRAM, "-q", *as_user, folder / "pgbouncer.ini"], stderr=subprocess.DEVNULL)
        pooled = make_url(network.url).set(port=port).render_as_string(hide_password=False)
        try:
            await _until_open(pooled, process)
            yield pooled
        finally:
            process.terminate()
            await asyncio.to_thread(process.wait)


def _not_root(folder: Path) -> list[str]:
    """Return the option that makes PgBouncer change its user, because it refuses to run as root."""
    if os.getuid() != 0:
        return []
    temporary = Path(tempfile.gettempdir())
    for path in (folder, *folder.parents):
        if path.is_relative_to(temporary) and path != temporary:
            path.chmod(path.stat().st_mode | 0o711)
    for path in (folder, *folder.iterdir()):
        shutil.chown(path, "nobody")
    return ["-u", "nobody"]


async def _until_open(url: str, process: subprocess.Popen[bytes]) -> None:
    async with asyncio.timeout(30):
        while True:
            try:
                await (await psycopg.AsyncConnection.connect(url)).close()
            except psycopg.OperationalError:
                if process.poll() is not None:
                    raise
                await asyncio.sleep(0.05)
            else:
                return
