"""Draws pages whose text only scripts write, with a Chromium that reaches checked addresses only.

Chromium runs without a window in a folder of its own, with its own sandbox, none of Parley's environment, and a proxy
inside Parley as its only way to the network. As root it runs as the user ``nobody``, since it has no sandbox for root.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import shutil
import signal
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from knowledge.full_temporary_disk import full_disk_reported
from knowledge.sources.checked_connection import connect_checked
from knowledge.sources.checked_resolver import AddressRefusedError, CheckedResolver
from knowledge.sources.socks_proxy import (
    CONNECT_SECONDS,
    NO_METHOD,
    NOT_ALLOWED,
    SUCCEEDED,
    UNREACHABLE,
    VERSION,
    HandshakeError,
    SocksProxy,
    Streams,
    reply,
)

RENDER_SECONDS = 45.0
SCRIPT_MILLISECONDS = 10_000
"""Time that the scripts of a page believe to have; waiting for timers takes no real time."""
MAX_UNRENDERED_WORDS = 30
"""Words of a page from which on it is read as the server sends it."""
MAX_SHELL_BYTES = 5_000_000
PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_NOBODY = 65534
_NO_AUTHENTICATION = 0
_UNSEEN = re.compile(
    rb"<(script|style|noscript|head|template)\b.*?(?:</\1\s*>|\Z)|<!--.*?(?:-->|\Z)|<[^<>]*>?", re.DOTALL | re.I
)
_SCRIPT = re.compile(rb"<(script|noscript)\b.*?(?:</\1\s*>|\Z)", re.DOTALL | re.I)
_FLAGS = (
    "--headless=new",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-extensions",
    "--disable-sync",
    "--no-first-run",
    "--no-pings",
    "--proxy-bypass-list=<-loopback>",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
    "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
    f"--virtual-time-budget={SCRIPT_MILLISECONDS}",
    "--dump-dom",
)

log = logging.getLogger(__name__)


def find_chromium() -> str | None:
    """Return the path of Chromium or Chrome; None if it is not installed."""
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


def needs_rendering(data: bytes) -> bool:
    """Return whether a page has hardly any text and a script that may write it."""
    if len(data) > MAX_SHELL_BYTES:
        return False
    return b"<script" in data.lower() and len(_UNSEEN.sub(b" ", data).split()) <= MAX_UNRENDERED_WORDS


class PageRenderer:
    """Draws pages with ``program``. Only addresses that may be fetched from are reached."""

    def __init__(self, program: str, *, fetch_allow: Sequence[str], max_bytes: int) -> None:
        self._program = program
        self._allow = fetch_allow
        self._max_bytes = max_bytes

    async def render(self, url: str, user_agent: str) -> bytes | None:
        """Return the page in UTF-8 as its scripts have written it, without them; None if it cannot be drawn."""
        with full_disk_reported():
            temporary = tempfile.TemporaryDirectory(prefix="parley-page-", ignore_cleanup_errors=True)
        with temporary as folder:
            async with _CheckedProxy(self._allow) as proxy:
                drawn = await self._run(url, folder, proxy.port, user_agent)
        return _SCRIPT.sub(b"", drawn) if drawn else None

    async def _run(self, url: str, folder: str, port: int, user_agent: str) -> bytes | None:
        process = await asyncio.create_subprocess_exec(
            self._program,
            *_FLAGS,
            f"--user-data-dir={folder}",
            f"--proxy-server=socks5://127.0.0.1:{port}",
            f"--user-agent={user_agent}",
            "--",
            url,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            cwd=folder,
            env={"PATH": os.environ.get("PATH", ""), "HOME": folder, "LANG": "C.UTF-8"},
            start_new_session=True,
            **_as_nobody(folder),
        )
        try:
            async with asyncio.timeout(RENDER_SECONDS):
                assert process.stdout is not None
                drawn = await _read(process.stdout, self._max_bytes)
        except TimeoutError:
            drawn = None
        finally:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
        if not drawn:
            log.warning("Chromium could not draw %s", url)
        return drawn


async def _read(stream: asyncio.StreamReader, most: int) -> bytes | None:
    data = bytearray()
    while part := await stream.read(65_536):
        data += part
        if len(data) > most:
            return None
    return bytes(data)


def _as_nobody(folder: str) -> dict[str, Any]:
    """Return the options that start a process as nobody, if this one runs as root, and give it its folder."""
    if os.geteuid() != 0:
        return {}
    os.chown(Path(folder), _NOBODY, _NOBODY)
    return {"user": _NOBODY, "group": _NOBODY, "extra_groups": []}


class _CheckedProxy(SocksProxy):
    """Connects Chromium to every host whose addresses may be fetched from, and to no other."""

    def __init__(self, allow: Sequence[str]) -> None:
        super().__init__()
        self._allow = allow

    async def authenticate(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Accept every client: the proxy reaches nothing that a program on this computer could not reach itself."""
        version, count = await reader.readexactly(2)
        if version != VERSION or _NO_AUTHENTICATION not in await reader.readexactly(count):
            writer.write(bytes((VERSION, NO_METHOD)))
            raise HandshakeError
        writer.write(bytes((VERSION, _NO_AUTHENTICATION)))

    async def connect(self, host: str, port: int, writer: asyncio.StreamWriter) -> Streams | None:
        """Connect to a host at an address that was checked."""
        outcome = UNREACHABLE
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                addresses = await CheckedResolver(self._allow).resolve(host, port)
                connected = await connect_checked(host, port, addresses, self._allow)
            upstream = await asyncio.open_connection(sock=connected)
        except AddressRefusedError:
            outcome = NOT_ALLOWED
        except OSError:
            pass
        else:
            writer.write(reply(SUCCEEDED))
            return upstream
        writer.write(reply(outcome))
        await writer.drain()
        return None
