"""Connects the bot to Slack, in Socket Mode or HTTP mode, and serves until cancelled."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from slack_bolt.app.async_app import AsyncApp
from slack_bolt.authorization import AuthorizeResult
from slack_bolt.context.async_context import AsyncBoltContext
from sqlalchemy.ext.asyncio import AsyncSession

from bot.commands.regular_notices import NOTICE_SECONDS, tell_regularly
from bot.commands.services import Services
from bot.config import Settings
from bot.engine.ports.surface import Surface
from bot.errors import for_operator, unforeseen
from bot.platforms.slack import socket_mode, user_messages, web_client
from bot.platforms.slack.admin_messages import SlackMessenger
from bot.platforms.slack.background_tasks import BackgroundTasks
from bot.platforms.slack.bot_tokens import StaticToken
from bot.platforms.slack.http_mode import HttpServer
from bot.platforms.slack.installation.installations import Installations
from bot.platforms.slack.installation.manifest import SCOPES
from bot.platforms.slack.installation.oauth import OAuthFlow
from bot.platforms.slack.payloads import BotUser
from bot.platforms.slack.request_verification import RequestVerifier
from bot.platforms.slack.socket_mode import SocketModeConnection
from bot.platforms.slack.web_client import Identity
from bot.platforms.slack.workspace import (
    InstalledWorkspaces,
    SharedResources,
    SingleWorkspace,
    Workspace,
    Workspaces,
)
from bot.platforms.slack.workspace_router import WorkspaceRouter
from bot.store.turns import event_log
from bot.types.turns import Turn

if TYPE_CHECKING:
    from bot.engine.dispatch.dispatcher import Dispatcher

log = logging.getLogger(__name__)

MAINTENANCE_SECONDS = 10.0
"""Seconds between two rounds of resuming orphaned turns and checking the connection."""


async def serve(
    dispatcher: Dispatcher,
    services: Services,
    settings: Settings,
    *,
    ready: asyncio.Event | None = None,
    maintenance_seconds: float = MAINTENANCE_SECONDS,
    notice_seconds: float = NOTICE_SECONDS,
) -> None:
    """Answer in Slack until cancelled; ``ready`` is set once connected. Raises ConfigError with a one-line message."""
    async with web_client.http_session() as session:
        shared = SharedResources(dispatcher, services, settings, session, BackgroundTasks())
        connect = _connect_installed_workspaces if settings.many_workspaces else _connect_single_workspace
        workspaces, receiver = await connect(shared)
        messenger = SlackMessenger(
            workspaces.tenants,
            lambda tenant: workspaces.of_tenant(tenant).messenger,
            lambda turn: workspaces.of_tenant(turn.thread.tenant_id).surface(turn),
        )
        notices = asyncio.create_task(tell_regularly(services, messenger, notice_seconds))
        try:
            await receiver.open()
            await _maintain(dispatcher, receiver, workspaces, ready, maintenance_seconds)
        finally:
            notices.cancel()
            await asyncio.gather(notices, return_exceptions=True)
            await receiver.close()
            await shared.background.close()
            await workspaces.close()


async def _connect_single_workspace(shared: SharedResources) -> tuple[Workspaces, SocketModeConnection | HttpServer]:
    """Return the workspace whose token is in the settings, and the connection for its events. Raises ConfigError."""
    settings = shared.settings
    bot_token, app_token = web_client.configured_tokens(settings)
    tokens = StaticToken(bot_token)
    client = web_client.create_clients(settings, shared.session, tokens).retrying
    identity = await web_client.identify(client, settings)
    _warn_of_missing_scopes(identity)
    log.info("Slack: in %s as %s", identity.team, identity.bot.user_id)

    async def bot_user() -> BotUser:
        return identity.bot

    workspace = Workspace(shared, tokens, bot_user)
    workspaces = SingleWorkspace(workspace)
    bolt = _create_bolt_app(shared, workspaces)
    if app_token is None:
        return workspaces, HttpServer(bolt, _verifier(shared), settings.slack_http_host, settings.slack_http_port)
    address = await socket_mode.open_connection(workspace.clients.retrying, app_token)
    return workspaces, SocketModeConnection(bolt, app_token, workspace.clients.retrying, address)


async def _connect_installed_workspaces(
    shared: SharedResources,
) -> tuple[Workspaces, SocketModeConnection | HttpServer]:
    """Return the workspaces that install the app, and the server for their events and the install pages.

    Raises ConfigError.
    """
    settings, database = shared.settings, shared.services.database
    client = web_client.tokenless_client(settings, shared.session)
    installations = Installations(database, settings, client)
    changed = await installations.reencrypt()
    if changed:
        log.info("Slack: encrypted the tokens of %d workspaces with the first of PARLEY_TOKEN_KEYS", changed)
    workspaces = InstalledWorkspaces(shared, installations)
    pages = OAuthFlow(settings, database, installations, client).routes()
    bolt = _create_bolt_app(shared, workspaces)
    return workspaces, HttpServer(bolt, _verifier(shared), settings.slack_http_host, settings.slack_http_port, pages)


def _create_bolt_app(shared: SharedResources, workspaces: Workspaces) -> AsyncApp:
    settings, services = shared.settings, shared.services
    secret = settings.slack_signing_secret.get_secret_value() if settings.slack_signing_secret else None

    async def record_event(tenant_id: str, kind: str) -> None:
        async def note(session: AsyncSession) -> None:
            await event_log.note(session, tenant_id=tenant_id, platform="slack", kind=kind)

        await services.database.run(tenant_id, note)

    router = WorkspaceRouter(workspaces, shared.background, record_event)

    # Bolt selects arguments by parameter name and does not support bound methods here.
    async def authorize(
        context: AsyncBoltContext, enterprise_id: str | None, team_id: str | None
    ) -> AuthorizeResult | None:
        return await router.authorize(context, enterprise_id, team_id)

    async def select_installation(
        context: AsyncBoltContext,
        body: dict[str, Any],
        next: Callable[[], Awaitable[None]],  # noqa: A002
    ) -> None:
        router.select_installation(context, body)
        await next()

    app = AsyncApp(
        name="parley",
        before_authorize=select_installation,
        client=web_client.tokenless_client(settings, shared.session),
        signing_secret=secret,
        authorize=authorize,  # type: ignore[arg-type]  # None means that the app is not installed
        user_facing_authorize_error_message=user_messages.NOT_INSTALLED,
        process_before_response=True,
        logger=logging.getLogger("slack_bolt"),
    )
    router.register(app)
    return app


def _verifier(shared: SharedResources) -> RequestVerifier:
    secret = shared.settings.slack_signing_secret
    assert secret is not None, "HTTP mode needs the signing secret; the settings check it"
    return RequestVerifier(secret.get_secret_value(), shared.services.database)


async def _maintain(
    dispatcher: Dispatcher,
    receiver: SocketModeConnection | HttpServer,
    workspaces: Workspaces,
    ready: asyncio.Event | None,
    interval: float,
) -> None:
    """Resume orphaned turns, store renewed tokens and check the connection, every ``interval`` seconds."""

    def surface_for(turn: Turn) -> Surface:
        return workspaces.of_tenant(turn.thread.tenant_id).surface(turn)

    while True:
        try:
            await workspaces.maintain()
            await dispatcher.resume("slack", surface_for)
        except Exception as error:
            reason = for_operator(error)
            log.error("Slack: resuming unfinished turns failed, retrying: %s", reason, exc_info=unforeseen(error))
        if ready is not None:
            ready.set()
        await asyncio.sleep(interval)
        await receiver.ensure_running()


def _warn_of_missing_scopes(identity: Identity) -> None:
    missing = sorted(SCOPES.keys() - identity.scopes) if identity.scopes else []
    if missing:
        log.warning("Slack: the app lacks %s; see `parley doctor`, then reinstall the app", ", ".join(missing))
