"""Serves the playground on a real socket: a scripted one with a sign-in, or that of an app."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from bot.app import App
from bot.config import Settings, load
from bot.platforms.web import app as web_app
from bot.platforms.web.sign_in.sign_in_setup import build_access
from tests.web.conftest import CONFIG, Running
from tests.web.fakes import ScriptedDispatcher, scripted_playground

TOKEN = "correct-horse-battery-staple"


def free_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@asynccontextmanager
async def serving(
    settings: Settings, *, host: str = "127.0.0.1", port: int = 0, clock: Callable[[], float] | None = None
) -> AsyncIterator[Running]:
    """Serve a playground with the sign-ins of these settings. ``address`` is the local one, not PARLEY_WEB_URL."""
    gate = asyncio.Semaphore(0)

    async def before_piece() -> None:
        await gate.acquire()

    dispatcher = ScriptedDispatcher(before_piece)
    playground = scripted_playground(dispatcher)
    ready = asyncio.Event()
    port = port or free_port()
    access = build_access(settings, clock=clock) if clock else build_access(settings)
    task = asyncio.create_task(web_app.run(playground, CONFIG, access, host=host, port=port, ready=ready))
    waiting = asyncio.create_task(ready.wait())
    async with asyncio.timeout(60):
        await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if task.done():
        task.result()
    try:
        yield Running(f"http://127.0.0.1:{port}", playground, dispatcher, gate, task)
    finally:
        task.cancel()
        for running in dispatcher.running.values():
            running.cancel()
        await asyncio.gather(task, *dispatcher.running.values(), return_exceptions=True)


@asynccontextmanager
async def served(app: App, settings: Settings | None = None) -> AsyncIterator[str]:
    """Serve the playground of the app, with its settings or these, and yield its local URL."""
    ready, port = asyncio.Event(), free_port()
    task = asyncio.create_task(
        web_app.serve(app.dispatcher, app.services, settings or app.settings, port=port, ready=ready)
    )
    try:
        async with asyncio.timeout(60):
            await ready.wait()
        yield f"http://127.0.0.1:{port}"
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def settings_with(folder: Path, **values: object) -> Settings:
    """Return settings with these values and no others of this machine."""
    return load(data_dir=folder, **values)
