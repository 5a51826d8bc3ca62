"""Wires the playground and serves it."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from collections.abc import Callable

from bot import commands
from bot.commands.base import Context, OnUpdate
from bot.commands.services import Services
from bot.config import Settings
from bot.platforms.web import uvicorn_server
from bot.platforms.web.api import Page, build
from bot.platforms.web.cross_process_events import Elsewhere
from bot.platforms.web.event_hub import Hub
from bot.platforms.web.history import CHANNEL, StoreHistory
from bot.platforms.web.playground import Commands, DeskPort, Playground
from bot.platforms.web.request_guard import allowed_hosts
from bot.types.conversation import LOCAL_TENANT, Attachment, Author
from knowledge import sample

log = logging.getLogger(__name__)

RESUME_EVERY = 15.0
"""Seconds between two looks for turns that no live process holds."""

LOOK_ELSEWHERE = 1.0
"""Seconds between two looks for what other processes answer, while a page is open."""

Bound = Callable[[str], None]
"""Told the page's address once it can be opened."""


def playground(dispatcher: DeskPort, services: Services) -> Playground:
    """The channel over the real store and the real commands."""

    def context(
        *,
        thread_id: str | None,
        author: Author,
        attachments: tuple[Attachment, ...],
        update: OnUpdate,
    ) -> Context:
        return Context(LOCAL_TENANT, "web", CHANNEL, thread_id, author, services, attachments, update)

    known = tuple(commands.COMMANDS.values())
    return Playground(
        dispatcher=dispatcher,
        history=StoreHistory(services.database.tenant),
        commands=Commands(known, commands.run, context),
        hub=Hub(),
        clock=services.clock,
    )


def page(settings: Settings) -> Page:
    """What the page is told of the settings."""
    return Page(
        questions=sample.questions(),
        writes=settings.has_model,
        upload_limit=settings.max_file_mb * 1_048_576,
        question_limit=settings.max_question_chars,
    )


async def serve(
    dispatcher: DeskPort,
    services: Services,
    settings: Settings,
    *,
    host: str = "127.0.0.1",
    port: int = 8080,
    ready: asyncio.Event | None = None,
    bound: Bound | None = None,
) -> None:
    """Serve the playground until cancelled. Port 0 takes any free one. Raises ConfigError where it cannot listen."""
    await run(playground(dispatcher, services), page(settings), host=host, port=port, ready=ready, bound=bound)


async def run(
    room: Playground,
    told: Page,
    *,
    host: str,
    port: int,
    ready: asyncio.Event | None = None,
    bound: Bound | None = None,
    resume_every: float = RESUME_EVERY,
) -> None:
    """Serve one playground until cancelled."""
    sock = uvicorn_server.listen(host, port)
    address = uvicorn_server.address(host, sock)
    _warn_of_strangers(host)

    def started() -> None:
        if bound is not None:
            bound(address)
        if ready is not None:
            ready.set()

    background = [asyncio.create_task(_resume(room, resume_every)), asyncio.create_task(_look_elsewhere(room))]
    try:
        app = build(room, told, hosts=allowed_hosts(host))
        await uvicorn_server.serve(app, sock, on_started=started, on_stop=room.hub.close)
    finally:
        for task in background:
            task.cancel()
        await asyncio.gather(*background, return_exceptions=True)
        await room.close()
        sock.close()


async def _resume(room: Playground, every: float) -> None:
    """Take up turns that a restart or another process left, now and then."""
    while True:
        try:
            if number := await room.dispatcher.resume("web", room.surface):
                log.info("took up %d interrupted turns", number)
        except Exception:
            log.exception("interrupted turns could not be taken up; trying again")
        await asyncio.sleep(every)


async def _look_elsewhere(room: Playground) -> None:
    elsewhere = Elsewhere(room.hub, room.history, room.clock)
    while True:
        await asyncio.sleep(LOOK_ELSEWHERE)
        try:
            if room.hub.pages:
                await elsewhere.look()
        except Exception as error:
            log.warning("what other processes answer could not be read: %s", error)


def _warn_of_strangers(host: str) -> None:
    try:
        local = host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        local = False
    if not local:
        log.warning("the playground has no sign-in: whoever can reach %s acts as its admin", host)
