"""Slack, wired: connects in Socket Mode, or listens in HTTP mode, and serves until cancelled."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from slack_bolt.app.async_app import AsyncApp
from slack_bolt.authorization import AuthorizeResult
from slack_bolt.context.async_context import AsyncBoltContext
from starlette.routing import Route

from bot.commands.services import Services
from bot.config import Settings
from bot.engine.ports.surface import Surface
from bot.errors import for_operator, unforeseen
from bot.platforms.slack import connection, user_messages
from bot.platforms.slack.background_tasks import Errands
from bot.platforms.slack.connection import Identity, Socket
from bot.platforms.slack.http_mode import Door
from bot.platforms.slack.installations import Installations
from bot.platforms.slack.manifest import SCOPES
from bot.platforms.slack.oauth import Consent
from bot.platforms.slack.parse import Me
from bot.platforms.slack.tokens import Fixed
from bot.platforms.slack.workspace import House, Many, One, Workspace, Workspaces
from bot.platforms.slack.workspace_router import Switchboard
from bot.store import event_log
from bot.types.turns import Turn

if TYPE_CHECKING:
    from bot.engine.dispatch.dispatcher import Dispatcher

log = logging.getLogger(__name__)

ROUND_SECONDS = 10.0
"""How often turns that no live process holds are looked for, and the connection is looked after."""


async def serve(
    dispatcher: Dispatcher,
    services: Services,
    settings: Settings,
    *,
    ready: asyncio.Event | None = None,
    round_seconds: float = ROUND_SECONDS,
) -> None:
    """Answer in Slack until cancelled; ``ready`` is set once connected. Raises ConfigError in one line."""
    async with connection.pool() as session:
        house = House(dispatcher, services, settings, session, Errands())
        workspaces, way = await (_many(house) if settings.many_workspaces else _one(house))
        try:
            await way.open()
            await _rounds(dispatcher, way, lambda turn: workspaces.of_turn(turn).surface(turn), ready, round_seconds)
        finally:
            await way.close()
            await house.errands.close()
            await workspaces.close()


async def _one(house: House) -> tuple[Workspaces, Socket | Door]:
    """The workspace whose token stands in the settings, and the way to it. Raises ConfigError."""
    settings = house.settings
    bot_token, app_token = connection.tokens(settings)
    tokens = Fixed(bot_token)
    identity = await connection.identify(connection.clients(settings, house.session, tokens).patient, settings)
    _warn_of_missing_scopes(identity)
    log.info("Slack: in %s as %s", identity.team, identity.me.user_id)

    async def me() -> Me:
        return identity.me

    workspace = Workspace(house, tokens, me)
    workspaces = One(workspace)
    bolt = _bolt(house, workspaces)
    if app_token is None:
        return workspaces, Door(bolt, settings.slack_http_host, settings.slack_http_port)
    address = await connection.socket_address(workspace.clients.patient, app_token)
    return workspaces, Socket(bolt, app_token, workspace.clients.patient, address)


async def _many(house: House) -> tuple[Workspaces, Door]:
    """Whatever workspaces install the app, and the pages on which they do. Raises ConfigError."""
    settings, database = house.settings, house.services.database
    client = connection.bare(settings, house.session)
    installations = Installations(database, settings, client)
    resealed = await installations.reseal()
    if resealed:
        log.info("Slack: the tokens of %d workspaces now lie under the first of PARLEY_TOKEN_KEYS", resealed)
    workspaces = Many(house, installations)
    pages: list[Route] = Consent(settings, database, installations, client).routes()
    door = Door(_bolt(house, workspaces), settings.slack_http_host, settings.slack_http_port, pages)
    return workspaces, door


def _bolt(house: House, workspaces: Workspaces) -> AsyncApp:
    settings, services = house.settings, house.services
    secret = settings.slack_signing_secret.get_secret_value() if settings.slack_signing_secret else None

    async def note(tenant_id: str, kind: str) -> None:
        async with services.database.tenant(tenant_id) as session:
            await event_log.note(session, tenant_id=tenant_id, platform="slack", kind=kind)

    board = Switchboard(workspaces, house.errands, note)

    # Bolt reads the names of the arguments, and knows no methods.
    async def authorize(
        context: AsyncBoltContext, enterprise_id: str | None, team_id: str | None
    ) -> AuthorizeResult | None:
        return await board.authorize(context, enterprise_id, team_id)

    app = AsyncApp(
        name="parley",
        client=connection.bare(settings, house.session),
        signing_secret=secret,
        authorize=authorize,  # type: ignore[arg-type]  # None is how Bolt is told of a stranger
        user_facing_authorize_error_message=user_messages.NOT_INSTALLED,
        process_before_response=True,
        logger=logging.getLogger(f"{__name__}.bolt"),
    )
    board.register(app)
    return app


async def _rounds(
    dispatcher: Dispatcher,
    way: Socket | Door,
    surface_for: Callable[[Turn], Surface],
    ready: asyncio.Event | None,
    round_seconds: float,
) -> None:
    while True:
        try:
            await dispatcher.resume("slack", surface_for)
        except Exception as error:
            why = for_operator(error)
            log.error("Slack: looking for unfinished turns failed, trying again: %s", why, exc_info=unforeseen(error))
        if ready is not None:
            ready.set()
        await asyncio.sleep(round_seconds)
        await way.heal()


def _warn_of_missing_scopes(identity: Identity) -> None:
    missing = sorted(SCOPES.keys() - identity.scopes) if identity.scopes else []
    if missing:
        log.warning("Slack: the app lacks %s; see `parley doctor`, then install it again", ", ".join(missing))
