"""Slack, wired: connects in Socket Mode, or listens in HTTP mode, and serves until cancelled."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

import aiohttp
from slack_bolt.app.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from bot.commands.services import Services
from bot.config import Settings
from bot.engine.ports import Surface
from bot.platforms.slack import connection
from bot.platforms.slack.around import Around
from bot.platforms.slack.commands import Commands
from bot.platforms.slack.connection import Identity, Socket
from bot.platforms.slack.errands import Errands
from bot.platforms.slack.files import Downloads
from bot.platforms.slack.history import Channels
from bot.platforms.slack.http import Door
from bot.platforms.slack.listeners import Listeners
from bot.platforms.slack.manifest import SCOPES
from bot.platforms.slack.menus import Menus
from bot.platforms.slack.people import People
from bot.platforms.slack.streams import Streams
from bot.platforms.slack.surface import surface_of
from bot.platforms.slack.whisper import Whisper
from bot.types import Turn

if TYPE_CHECKING:
    from bot.engine.desk import Desk

log = logging.getLogger(__name__)

ROUND_SECONDS = 10.0
"""How often turns that no live process holds are looked for, and the connection is looked after."""


async def serve(
    desk: Desk,
    services: Services,
    settings: Settings,
    *,
    ready: asyncio.Event | None = None,
    round_seconds: float = ROUND_SECONDS,
) -> None:
    """Answer in Slack until cancelled; ``ready`` is set once connected. Raises ConfigError in one line."""
    bot_token, app_token = connection.tokens(settings)
    async with connection.pool() as session:
        clients = connection.clients(settings, session, bot_token)
        identity = await connection.identify(clients.patient, settings)
        _warn_of_missing_scopes(identity)

        errands, people = Errands(), People(clients.patient, settings.admins)
        downloads = _downloads(settings, session, bot_token)

        async def team() -> str:
            return identity.me.team_id

        around = Around(clients.patient, downloads, people, own_bot=identity.me.bot_id)

        native = Streams(settings.slack_streaming, team)

        def surface_for(turn: Turn) -> Surface:
            return surface_of(clients.prompt, turn, around, native)

        whisper = Whisper(clients.patient, session)
        commands = Commands(whisper, services, channels=Channels(clients.patient))
        listeners = Listeners(
            desk,
            identity.me,
            client=clients.patient,
            people=people,
            downloads=downloads,
            whisper=whisper,
            commands_=commands,
            errands=errands,
            surface_for=surface_for,
        )
        menus = Menus(
            desk,
            identity.me,
            client=clients.patient,
            people=people,
            whisper=whisper,
            commands=commands,
            errands=errands,
            surface_for=surface_for,
        )
        bolt = _bolt(clients.patient, settings, menus, listeners)
        way: Socket | Door
        if app_token is None:
            way = Door(bolt, settings.slack_http_host, settings.slack_http_port)
        else:
            address = await connection.socket_address(clients.patient, app_token)
            way = Socket(bolt, app_token, clients.patient, address)
        try:
            await way.open()
            log.info("Slack: connected to %s as %s", identity.team, identity.me.user_id)
            await _rounds(desk, way, surface_for, ready, round_seconds)
        finally:
            await way.close()
            await errands.close()
            await people.close()
            await clients.prompt.detach()


def _bolt(client: AsyncWebClient, settings: Settings, menus: Menus, listeners: Listeners) -> AsyncApp:
    log_of_bolt = logging.getLogger(f"{__name__}.bolt")
    secret = settings.slack_signing_secret.get_secret_value() if settings.slack_signing_secret else None
    app = AsyncApp(
        name="parley", client=client, signing_secret=secret, process_before_response=True, logger=log_of_bolt
    )
    menus.register(app)
    listeners.register(app)
    return app


async def _rounds(
    desk: Desk,
    way: Socket | Door,
    surface_for: Callable[[Turn], Surface],
    ready: asyncio.Event | None,
    round_seconds: float,
) -> None:
    while True:
        try:
            await desk.resume("slack", surface_for)
        except Exception:
            log.exception("Slack: looking for unfinished turns failed; trying again")
        if ready is not None:
            ready.set()
        await asyncio.sleep(round_seconds)
        await way.heal()


def _downloads(settings: Settings, session: aiohttp.ClientSession, bot_token: str) -> Downloads:
    limit = settings.max_file_mb * 1_000_000
    return Downloads(session, bot_token, connection.api_url(settings), max_bytes=limit)


def _warn_of_missing_scopes(identity: Identity) -> None:
    missing = sorted(SCOPES.keys() - identity.scopes) if identity.scopes else []
    if missing:
        log.warning("Slack: the app lacks %s; see `parley doctor`, then install it again", ", ".join(missing))
