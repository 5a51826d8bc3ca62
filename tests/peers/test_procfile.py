"""The Procfile under honcho: its processes serve, and stop within honcho's grace."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import aiohttp
import pytest

from tests.peers.programs import free_port, installed

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("web", "worker")
START_SECONDS = 240.0


@pytest.fixture
def honcho() -> str:
    return installed("honcho/bin/honcho")


@pytest.fixture
def parley_on_path(tmp_path: Path) -> str:
    """Return a PATH on which ``parley`` is this project."""
    program = tmp_path / "bin" / "parley"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m bot "$@"\n')
    program.chmod(0o755)
    return f"{program.parent}{os.pathsep}{os.environ['PATH']}"


async def test_the_parts_serve_and_stop_together(
    honcho: str, database_url: str, parley_on_path: str, tmp_path: Path
) -> None:
    port, log = free_port(), tmp_path / "log.txt"
    environment = {
        "PATH": parley_on_path,
        "PYTHONPATH": str(ROOT),
        "HOME": str(tmp_path),
        "DATABASE_URL": database_url,
        "PARLEY_DATA_DIR": str(tmp_path / "data"),
        "PORT": str(port),
    }
    arguments = [honcho, "-f", str(ROOT / "Procfile"), "-d", str(tmp_path), "start", *PARTS]
    with log.open("wb") as output:
        process = subprocess.Popen(arguments, cwd=tmp_path, env=environment, stdout=output, stderr=subprocess.STDOUT)
    try:
        await _ready(f"http://127.0.0.1:{port}", process, log)
        process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(process.wait, 60)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    printed = log.read_text()
    assert "SIGKILL" not in printed, printed
    assert printed.count("stopped (rc=") == len(PARTS), printed


async def _ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until the web part serves and the worker works."""
    limit = time.monotonic() + START_SECONDS
    async with aiohttp.ClientSession() as http:
        while time.monotonic() < limit:
            assert process.poll() is None, log.read_text()
            try:
                async with http.get(f"{url}/readyz") as response:
                    if response.status == 200 and "worker.1" in log.read_text():
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.2)
    raise AssertionError(log.read_text())
