"""Finds and runs programs that others wrote, which Parley is tested against."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from tests.web.serving import free_port

FOLDER = Path(os.environ.get("PARLEY_TEST_PEERS") or Path(__file__).resolve().parents[2] / ".venv-peers")
"""Where ``make test-peers`` installs the programs."""
START_SECONDS = 180.0
STOP_SECONDS = 30.0


def installed(path: str) -> str:
    """Return the path of a program; skip the test if it is not installed."""
    program = FOLDER / path
    if not program.exists():
        pytest.skip(f"no {path} in {FOLDER}; run: make test-peers")
    return str(program)


@dataclass
class Running:
    """A server of another project. ``url`` is its address without a slash at the end."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path

    def logged(self) -> str:
        """Return the last lines that the program wrote."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-20:])


@asynccontextmanager
async def running(
    folder: Path, arguments: Sequence[str], *, port: int, ready: str, environment: Mapping[str, str] | None = None
) -> AsyncIterator[Running]:
    """Run a server until the block ends. It is ready once the path ``ready`` answers with 200.

    The program gets no provider keys and no proxies of this machine, and may not reach a model hub.
    """
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    folder.mkdir(exist_ok=True)
    log = folder / "log.txt"
    with log.open("wb") as output:
        process = subprocess.Popen(
            arguments,
            cwd=folder,
            env={**inherited, "HF_HUB_OFFLINE": "1", **(environment or {})},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    server = Running(f"http://127.0.0.1:{port}", process, log)
    try:
        await _answers(server, ready)
        yield server
    finally:
        process.terminate()
        try:
            await asyncio.to_thread(process.wait, STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            await asyncio.to_thread(process.wait)


async def _answers(server: Running, path: str) -> None:
    async with asyncio.timeout(START_SECONDS), aiohttp.ClientSession() as http:
        while True:
            assert server.process.poll() is None, server.logged()
            try:
                async with http.get(server.url + path) as response:
                    if response.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.2)


__all__ = ["FOLDER", "Running", "free_port", "installed", "running"]
