"""Builds the playground from the application's services and serves it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial

from starlette.routing import BaseRoute

from bot.commands import registry as commands
from bot.commands.base import Context, OnUpdate
from bot.commands.services import Services
from bot.config import Settings
from bot.engine.answer.final_reply import stronger_model
from bot.errors import ConfigError, for_operator
from bot.llm.diagnostics import check as check_models
from bot.llm.model_check_cache import ModelChecks
from bot.platforms.web import uvicorn_server
from bot.platforms.web.admin.routes import routes
from bot.platforms.web.api import PageConfig
from bot.platforms.web.command_cards import StoredCommandCards
from bot.platforms.web.conversation_files import StoredPageFiles
from bot.platforms.web.document_pictures import StoredDocumentPages
from bot.platforms.web.document_viewer import StoredDocuments
from bot.platforms.web.event_hub import EventHub
from bot.platforms.web.history import CHANNEL, StoreHistory
from bot.platforms.web.playground import Playground
from bot.platforms.web.playground_ports import CommandRunner, DispatcherPort
from bot.platforms.web.question_branches import StoredBranches
from bot.platforms.web.request_guard import allowed_hosts
from bot.platforms.web.routes import build_app
from bot.platforms.web.sign_in import sign_in_setup as sign_in
from bot.platforms.web.sign_in import user_messages
from bot.platforms.web.sign_in.sign_in_setup import Access
from bot.platforms.web.welcome import StoredWelcome
from bot.types.audience import MEMBERS
from bot.types.conversation import LOCAL_TENANT, Attachment, Author
from knowledge.parsing.isolation.sandbox import Parser

log = logging.getLogger(__name__)

RESUME_INTERVAL = 15.0
"""Seconds between two checks for orphaned turns, whose lease no process holds."""

POLL_INTERVAL = 0.5
"""Seconds between two polls for what other processes do, while a page is open."""

PAGE_SECONDS = 10.0
"""Seconds after which drawing a page of a document is given up."""

OnBound = Callable[[str], None]
"""Receives the page's URL when the server accepts requests."""


def build_playground(dispatcher: DispatcherPort, services: Services) -> Playground:
    """Return a playground over the store and the commands."""

    def context(
        *,
        thread_id: str | None,
        author: Author,
        attachments: tuple[Attachment, ...],
        update: OnUpdate,
    ) -> Context:
        return Context(LOCAL_TENANT, "web", CHANNEL, thread_id, author, services, attachments, update, audience=MEMBERS)

    return Playground(
        dispatcher=dispatcher,
        history=StoreHistory(services.database, strong_model=stronger_model(services.llm)),
        commands=CommandRunner(tuple(commands.COMMANDS.values()), commands.run, context),
        hub=EventHub(),
        clock=services.clock,
        files=StoredPageFiles(services.database),
        cards=StoredCommandCards(services.database),
        welcome=StoredWelcome(
            services.database.tenant,
            services.settings,
            lambda: services.health.unready,
            services.clock,
            ModelChecks(partial(check_models, services.settings), services.clock),
        ),
        documents=StoredDocuments(services.database.tenant),
        branches=StoredBranches(services.database),
        pages=StoredDocumentPages(services.database.tenant, Parser(seconds=PAGE_SECONDS)),
        unready=lambda: services.health.unready,
        metrics=services.metrics,
    )


def page_config(settings: Settings) -> PageConfig:
    """Return the configuration of the page, taken from the settings."""
    return PageConfig(
        writes=settings.has_model,
        upload_limit=settings.max_file_mb * 1_048_576,
        question_limit=settings.max_question_chars,
    )


async def serve(
    dispatcher: DispatcherPort,
    services: Services,
    settings: Settings,
    *,
    host: str = "127.0.0.1",
    port: int = 8080,
    ready: asyncio.Event | None = None,
    bound: OnBound | None = None,
) -> None:
    """Serve the playground until cancelled. Port 0 takes any free port.

    Raises ConfigError if it cannot listen, or if other people could reach it without a sign-in.
    """
    sign_in.require_sign_in(settings, host)
    playground = build_playground(dispatcher, services)
    access = sign_in.build_access(settings)
    admin = routes(services, LOCAL_TENANT)
    await run(playground, page_config(settings), access, host=host, port=port, ready=ready, bound=bound, admin=admin)


async def run(
    playground: Playground,
    config: PageConfig,
    access: Access | None = None,
    *,
    host: str,
    port: int,
    ready: asyncio.Event | None = None,
    bound: OnBound | None = None,
    resume_interval: float = RESUME_INTERVAL,
    admin: Sequence[BaseRoute] = (),
) -> None:
    """Serve one playground until cancelled. Without ``access`` there is no sign-in."""
    access = access or sign_in.open_access()
    sock = uvicorn_server.listen(host, port)
    if access.is_open and not sign_in.is_loopback(sock.getsockname()[0]):
        sock.close()
        raise ConfigError(user_messages.sign_in_needed(f"Other machines can reach {host}"))
    address = access.url.page() if access.url else uvicorn_server.address(host, sock)

    def on_started() -> None:
        if bound is not None:
            bound(address)
        if ready is not None:
            ready.set()

    background = [
        asyncio.create_task(_resume_turns(playground, resume_interval)),
        asyncio.create_task(_poll_other_processes(playground)),
    ]
    try:
        app = build_app(playground, config, access, hosts=allowed_hosts(host, access.url), admin=admin)
        await uvicorn_server.serve(app, sock, on_started=on_started, on_stop=playground.hub.close)
    finally:
        for task in background:
            task.cancel()
        await asyncio.gather(*background, return_exceptions=True)
        await playground.close()
        await playground.pages.aclose()
        await playground.welcome.aclose()
        sock.close()


async def _resume_turns(playground: Playground, interval: float) -> None:
    """Resume orphaned turns, left by a restart or by another process, at a fixed interval."""
    while True:
        try:
            if number := await playground.dispatcher.resume("web", playground.surface):
                log.info("resumed %d orphaned turns", number)
        except Exception:
            log.exception("could not resume orphaned turns; retrying in %g seconds", interval)
        await asyncio.sleep(interval)


async def _poll_other_processes(playground: Playground) -> None:
    """Show what other processes do while a page is open, and tell them which commands run here."""
    while True:
        await asyncio.sleep(POLL_INTERVAL)
        try:
            await playground.poller.keep_commands_alive()
            if playground.hub.open_streams:
                await playground.poller.poll()
        except Exception as error:
            log.warning("could not exchange events with other processes: %s", for_operator(error))
