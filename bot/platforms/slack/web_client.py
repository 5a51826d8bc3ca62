"""Creates Slack Web API clients that fetch their token before each call, and identifies the bot by its token."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, NamedTuple

import aiohttp
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.http_retry.builtin_async_handlers import (
    AsyncConnectionErrorRetryHandler,
    AsyncRateLimitErrorRetryHandler,
)
from slack_sdk.http_retry.response import HttpResponse
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from bot.config import Settings
from bot.errors import ConfigError, Unreachable
from bot.platforms.slack import errors
from bot.platforms.slack.bot_tokens import BotTokenSource
from bot.platforms.slack.payloads import BotUser

API_URL = "https://slack.com/api/"
TIMEOUT_SECONDS = 30
DETACH_GRACE_SECONDS = 5.0
RATE_LIMIT_RETRIES = 2
LONGEST_WAIT_SECONDS = 60.0
"""The longest wait that a call accepts from Slack. If Slack asks for more, it fails, because somebody waits for it."""

BOT_TOKEN_HELP = "Copy the Bot User OAuth Token again from 'OAuth & Permissions', and install the app if it is not"  # noqa: S105
APP_TOKEN_HELP = "Create an App-Level Token with connections:write under 'Basic Information', with Socket Mode on"  # noqa: S105

STALE_TOKEN = frozenset({"token_expired", "token_revoked", "invalid_auth"})
"""Slack error codes for a token that may have been replaced in the meantime."""


class WebClient(AsyncWebClient):
    """A Web API client that fetches its token before each call.

    It remains usable after its connection pool closes, because answers are still written while the platform closes.
    """

    _calls_in_progress = 0

    def __init__(self, tokens: BotTokenSource, **given: Any) -> None:
        super().__init__(**given)
        self._tokens = tokens

    async def api_call(self, api_method: str, **arguments: Any) -> AsyncSlackResponse:
        """Make one call; every method of the client uses this one. Raises SurfaceError if there is no token.

        A call whose connection pool is closed meanwhile raises ClientConnectionError: the library raises AssertionError
        or RuntimeError, as for a mistake in the program.
        """
        session = self.session
        self._calls_in_progress += 1
        try:
            return await self._call(api_method, **arguments)
        except (AssertionError, RuntimeError) as error:
            if session is None or not session.closed:
                raise
            raise aiohttp.ClientConnectionError("The connection pool was closed.") from error
        finally:
            self._calls_in_progress -= 1

    async def _call(self, api_method: str, **arguments: Any) -> AsyncSlackResponse:
        token = self.token = await self._tokens.token()
        try:
            return await super().api_call(api_method, **arguments)
        except SlackApiError as error:
            is_stale = errors.code(error) in STALE_TOKEN
            replacement = await self._tokens.replacement(token) if is_stale else None
            if replacement is None:
                raise
            self.token = replacement
            return await super().api_call(api_method, **arguments)

    async def detach(self, grace: float = DETACH_GRACE_SECONDS) -> None:
        """Leave the connection pool so that it can be closed. Later calls open their own connections."""
        self.session = None
        for _ in range(int(grace / 0.02)):
            if not self._calls_in_progress:
                return
            await asyncio.sleep(0.02)


class ShortWaits(AsyncRateLimitErrorRetryHandler):
    """Waits as long as Slack asks and repeats the call, unless that is longer than anybody waits for an answer."""

    async def _can_retry_async(self, *, response: HttpResponse | None = None, **given: Any) -> bool:
        if response is None or not await super()._can_retry_async(response=response, **given):
            return False
        asked = next((values for name, values in response.headers.items() if name.lower() == "retry-after"), ())
        return all(value.isdecimal() and float(value) <= LONGEST_WAIT_SECONDS for value in asked)


class Clients(NamedTuple):
    """``retrying`` waits out short rate limits; ``single_attempt`` raises them, for callers that pace themselves."""

    retrying: WebClient
    single_attempt: WebClient


class Identity(NamedTuple):
    """What ``auth.test`` returns about the bot token. ``date`` is Slack's clock, from the HTTP header."""

    bot: BotUser
    team: str
    url: str
    scopes: frozenset[str]
    date: str = ""


def api_url(settings: Settings) -> str:
    """Return the base address of the Web API."""
    return settings.slack_api_url or API_URL


def configured_tokens(settings: Settings) -> tuple[str, str | None]:
    """Return the bot token and the app token from the settings; the app token is None in HTTP mode.

    Raises ConfigError.
    """
    if settings.slack_bot_token is None:
        raise ConfigError(f"SLACK_BOT_TOKEN is not set. {BOT_TOKEN_HELP}.")
    bot_token = settings.slack_bot_token.get_secret_value()
    if settings.slack_app_token is not None:
        return bot_token, settings.slack_app_token.get_secret_value()
    if settings.slack_signing_secret is None:
        raise ConfigError(f"SLACK_APP_TOKEN is not set. {APP_TOKEN_HELP}.")
    return bot_token, None


def http_session() -> aiohttp.ClientSession:
    """Return a connection pool for Slack that uses the proxy from the environment."""
    return aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_SECONDS), trust_env=True)


def tokenless_client(settings: Settings, session: aiohttp.ClientSession | None) -> AsyncWebClient:
    """Return a client without a token, for the calls that obtain one."""
    return AsyncWebClient(
        base_url=api_url(settings),
        timeout=TIMEOUT_SECONDS,
        session=session,
        logger=logging.getLogger("slack_sdk.web"),
        retry_handlers=_retry_handlers(),
    )


def create_clients(settings: Settings, session: aiohttp.ClientSession, tokens: BotTokenSource) -> Clients:
    """Return Web API clients that share one connection pool."""

    def client(*, retries: bool) -> WebClient:
        # Retrying after a lost response would post or append twice. The display first checks which messages Slack has.
        return WebClient(
            tokens,
            base_url=api_url(settings),
            timeout=TIMEOUT_SECONDS,
            session=session,
            logger=logging.getLogger("slack_sdk.web"),
            retry_handlers=_retry_handlers() if retries else [],
        )

    return Clients(retrying=client(retries=True), single_attempt=client(retries=False))


def _retry_handlers() -> list[Any]:
    return [
        AsyncConnectionErrorRetryHandler(),
        ShortWaits(max_retry_count=RATE_LIMIT_RETRIES),
    ]


async def identify(client: AsyncWebClient, settings: Settings) -> Identity:
    """Return the identity of the bot token. Raises ConfigError with a one-line message that says what to do."""
    try:
        response = await client.auth_test()
    except SlackApiError as error:
        if errors.may_pass(error):
            raise unreachable(client, errors.code(error)) from None
        raise ConfigError(f"Slack does not accept SLACK_BOT_TOKEN ({errors.code(error)}). {BOT_TOKEN_HELP}.") from None
    except (SlackClientError, aiohttp.ClientError, TimeoutError, OSError) as error:
        raise unreachable(client, type(error).__name__) from None
    team_id = str(response.get("team_id"))
    # A bot token belongs to one workspace, so the bot is in no other.
    tenant_id = settings.tenant_of(f"slack:{team_id}", alone=True)
    enterprise_id = str(response.get("enterprise_id") or "")
    user_id, bot_id = str(response.get("user_id")), str(response.get("bot_id") or "")
    bot = BotUser(user_id, bot_id, team_id, tenant_id, enterprise_id=enterprise_id)
    scopes = _header(response, "x-oauth-scopes").split(",")
    granted = frozenset(scope.strip() for scope in scopes if scope.strip())
    return Identity(bot, str(response.get("team")), str(response.get("url")), granted, _header(response, "date"))


def unreachable(client: AsyncWebClient, reason: str) -> Unreachable:
    """Return the error if Slack does not answer at startup."""
    return Unreachable(
        f"Slack cannot be reached at {client.base_url} ({reason}). Check the network, the proxy and SLACK_API_URL."
    )


def _header(response: AsyncSlackResponse, name: str) -> str:
    return str(next((value for key, value in response.headers.items() if key.lower() == name), ""))
