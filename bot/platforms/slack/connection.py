"""The two ways to Slack: the Web API, and the WebSocket that Socket Mode delivers on."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any, NamedTuple

import aiohttp
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.app.async_app import AsyncApp
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.http_retry.builtin_async_handlers import (
    AsyncConnectionErrorRetryHandler,
    AsyncRateLimitErrorRetryHandler,
)
from slack_sdk.socket_mode.aiohttp import SocketModeClient
from slack_sdk.socket_mode.async_client import AsyncBaseSocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from bot.config import Settings
from bot.errors import ConfigError
from bot.platforms.slack import errors
from bot.platforms.slack.parse import Me
from bot.platforms.slack.tokens import Tokens

log = logging.getLogger(__name__)

API_URL = "https://slack.com/api/"
TIMEOUT_SECONDS = 30
PING_SECONDS = 10
LAST_ACKS_SECONDS = 3.0
LAST_CALLS_SECONDS = 5.0

HOW_TO_SIGN_IN = "copy the Bot User OAuth Token again from 'OAuth & Permissions', and install the app if it is not"
HOW_TO_CONNECT = "make an App-Level Token with connections:write under 'Basic Information', with Socket Mode on"


STALE = frozenset({"token_expired", "token_revoked", "invalid_auth"})
"""What Slack says to a token that another one may have replaced meanwhile."""


class WebClient(AsyncWebClient):
    """A Web API client that asks for its token before each call.

    It outlives its connection pool: answers go on being written while the platform closes.
    """

    _under_way = 0

    def __init__(self, tokens: Tokens, **given: Any) -> None:
        super().__init__(**given)
        self._tokens = tokens

    async def api_call(self, api_method: str, **arguments: Any) -> AsyncSlackResponse:
        """One call; every method of the client comes through here. Raises SurfaceError where there is no token."""
        self._under_way += 1
        try:
            token = self.token = await self._tokens.token()
            try:
                return await super().api_call(api_method, **arguments)
            except SlackApiError as error:
                other = await self._tokens.again(token) if errors.code(error) in STALE else None
                if other is None:
                    raise
                self.token = other
                return await super().api_call(api_method, **arguments)
        finally:
            self._under_way -= 1

    async def detach(self, grace: float = LAST_CALLS_SECONDS) -> None:
        """Leave the pool, so that it can be closed: later calls open connections of their own."""
        self.session = None
        for _ in range(int(grace / 0.02)):
            if not self._under_way:
                return
            await asyncio.sleep(0.02)


class Clients(NamedTuple):
    """``patient`` waits a 429 out; ``prompt`` raises it, for the display that paces itself."""

    patient: WebClient
    prompt: WebClient


class Identity(NamedTuple):
    """What ``auth.test`` says of the bot token."""

    me: Me
    team: str
    url: str
    scopes: frozenset[str]
    date: str = ""
    """Slack's own clock, as its HTTP header tells it."""


def api_url(settings: Settings) -> str:
    """The base of the Web API."""
    return settings.slack_api_url or API_URL


def bot_token(settings: Settings) -> str:
    """The bot token. Raises ConfigError."""
    if settings.slack_bot_token is None:
        raise ConfigError(f"SLACK_BOT_TOKEN is not set; {HOW_TO_SIGN_IN}.")
    return settings.slack_bot_token.get_secret_value()


def tokens(settings: Settings) -> tuple[str, str | None]:
    """Bot token and app token, which is None where Slack reaches the bot over HTTP. Raises ConfigError."""
    token = bot_token(settings)
    if settings.slack_app_token is not None:
        return token, settings.slack_app_token.get_secret_value()
    if settings.slack_signing_secret is None:
        raise ConfigError(f"SLACK_APP_TOKEN is not set; {HOW_TO_CONNECT}.")
    return token, None


def pool() -> aiohttp.ClientSession:
    """Connections to Slack, through the proxy that the environment names."""
    return aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_SECONDS), trust_env=True)


def bare(settings: Settings, session: aiohttp.ClientSession | None) -> AsyncWebClient:
    """A client with no token, for the calls by which the app gets one."""
    return AsyncWebClient(
        base_url=api_url(settings),
        timeout=TIMEOUT_SECONDS,
        session=session,
        logger=logging.getLogger(f"{__name__}.web"),
        retry_handlers=[AsyncConnectionErrorRetryHandler(), AsyncRateLimitErrorRetryHandler(max_retry_count=2)],
    )


def clients(settings: Settings, session: aiohttp.ClientSession, tokens: Tokens) -> Clients:
    """Web API clients over one connection pool."""

    def client(patience: int) -> WebClient:
        # A retry after a lost answer would post, or append, a second time; the display looks first, then tries again.
        handlers = [AsyncConnectionErrorRetryHandler(), AsyncRateLimitErrorRetryHandler(max_retry_count=patience)]
        return WebClient(
            tokens,
            base_url=api_url(settings),
            timeout=TIMEOUT_SECONDS,
            session=session,
            logger=logging.getLogger(f"{__name__}.web"),
            retry_handlers=handlers if patience else [],
        )

    return Clients(patient=client(2), prompt=client(0))


async def identify(client: AsyncWebClient, settings: Settings) -> Identity:
    """Who the bot token is. Raises ConfigError in one line with the cure."""
    try:
        found = await client.auth_test()
    except SlackApiError as error:
        raise ConfigError(f"Slack does not accept SLACK_BOT_TOKEN ({errors.code(error)}); {HOW_TO_SIGN_IN}.") from None
    except (SlackClientError, aiohttp.ClientError, TimeoutError, OSError) as error:
        raise _unreachable(client, error) from None
    team_id = str(found.get("team_id"))
    # One bot token is one workspace, so the bot is in no other.
    tenant_id = settings.tenant_of(f"slack:{team_id}", alone=True)
    me = Me(str(found.get("user_id")), str(found.get("bot_id") or ""), team_id, tenant_id)
    scopes = next((value for key, value in found.headers.items() if key.lower() == "x-oauth-scopes"), "")
    granted = frozenset(scope.strip() for scope in str(scopes).split(",") if scope.strip())
    date = next((value for key, value in found.headers.items() if key.lower() == "date"), "")
    return Identity(me, str(found.get("team")), str(found.get("url")), granted, str(date))


async def socket_address(client: AsyncWebClient, app_token: str) -> str:
    """A fresh address for the WebSocket. Raises ConfigError in one line with the cure."""
    try:
        opened = await client.apps_connections_open(app_token=app_token)
    except SlackApiError as error:
        raise ConfigError(f"Slack does not accept SLACK_APP_TOKEN ({errors.code(error)}); {HOW_TO_CONNECT}.") from None
    except (SlackClientError, aiohttp.ClientError, TimeoutError, OSError) as error:
        raise _unreachable(client, error) from None
    return str(opened.get("url"))


def _unreachable(client: AsyncWebClient, error: Exception) -> ConfigError:
    return ConfigError(
        f"Slack cannot be reached at {client.base_url} ({type(error).__name__}); check the network, the proxy "
        "and SLACK_API_URL."
    )


class Socket(AsyncSocketModeHandler):
    """Socket Mode that can be closed without losing an ack or leaving a task behind."""

    client: SocketModeClient

    def __init__(self, app: AsyncApp, app_token: str, client: AsyncWebClient, address: str) -> None:
        sdk_log = logging.getLogger(f"{__name__}.socket")
        super().__init__(app, app_token, logger=sdk_log, web_client=client, ping_interval=PING_SECONDS)
        self.client.wss_uri = address
        self._handling: set[asyncio.Task[object]] = set()

    async def handle(self, client: AsyncBaseSocketModeClient, req: SocketModeRequest) -> None:
        """Run the listeners and acknowledge."""
        task = asyncio.current_task()
        assert task is not None
        self._handling.add(task)
        try:
            await super().handle(client, req)  # type: ignore[arg-type]
        finally:
            self._handling.discard(task)

    async def open(self) -> None:
        """Connect."""
        await self.connect_async()  # type: ignore[no-untyped-call]

    async def heal(self) -> None:
        """Called now and then: a connection attempt that keeps failing gets a fresh address, for one expires."""
        if not await self.client.is_connected():
            log.warning("Slack's WebSocket is down; connecting again.")
            self.client.wss_uri = None

    async def close(self) -> None:
        """Let messages that are being taken in finish, then close the connection and wait for its tasks."""
        if self._handling:
            await asyncio.wait(set(self._handling), timeout=LAST_ACKS_SECONDS)
        sdk_tasks = (self.client.message_processor, self.client.current_session_monitor, self.client.message_receiver)
        await self.client.close()  # type: ignore[no-untyped-call]
        for task in (*(task for task in sdk_tasks if task is not None), *self._handling):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await task
