"""Runs the Slack checks of ``parley doctor``: tokens, scopes, clock, channels, events and the connection."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import aiohttp
from slack_sdk.web.async_client import AsyncWebClient

from bot.config import Settings
from bot.errors import ConfigError, ParleyError
from bot.platforms.slack import errors, socket_mode, web_client
from bot.platforms.slack.bot_tokens import StaticToken
from bot.platforms.slack.event_diagnostics import check_received_events
from bot.platforms.slack.installation.manifest import SCOPES
from bot.platforms.slack.oauth_diagnostics import check_installations
from bot.platforms.slack.web_client import Identity
from bot.store.database.session import Database
from bot.types.checks import Check

HELLO_TIMEOUT_SECONDS = 10.0
MAX_CLOCK_SKEW_SECONDS = 60.0
CHANNELS_PAGE_SIZE = 200
REINSTALL = "Paste the output of `parley manifest slack` under 'App Manifest', then 'Install App' > 'Reinstall'."


async def check(
    settings: Settings,
    *,
    database: Database | None = None,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> list[Check]:
    """Return all Slack checks; a single one if Slack is not set up. Never raises for Slack errors.

    Without a database the checks omit received events and installations.
    """
    if settings.many_workspaces:
        return await check_installations(settings, database, clock) if database else []
    if settings.slack_bot_token is None and settings.slack_app_token is None:
        return [Check("slack", True, "not set up", "")]
    try:
        bot_token, app_token = web_client.configured_tokens(settings)
    except ConfigError as error:
        return [Check.failed("slack tokens", str(error))]
    async with web_client.http_session() as session:
        client = web_client.create_clients(settings, session, StaticToken(bot_token)).retrying
        checks = await _check_workspace(client, settings, database, clock())
        if app_token is None:
            return [*checks, _check_http_mode(settings)]
        return [*checks, *await _check_socket_mode(client, session, app_token)]


async def _check_workspace(
    client: AsyncWebClient, settings: Settings, database: Database | None, now: datetime
) -> list[Check]:
    try:
        identity = await web_client.identify(client, settings)
    except ConfigError as error:
        return [Check.failed("slack bot token", str(error))]
    checks = [
        _check_bot_token(identity),
        _check_scopes(identity),
        _check_clock(identity, now),
        await _check_channels(client),
    ]
    if database is not None:
        checks.append(await check_received_events(database, identity.bot.tenant_id, identity.bot.team_id))
    return checks


async def _check_socket_mode(client: AsyncWebClient, session: aiohttp.ClientSession, app_token: str) -> list[Check]:
    try:
        address = await socket_mode.open_connection(client, app_token)
    except ConfigError as error:
        return [Check.failed("slack app token", str(error))]
    return [Check("slack app token", True, "accepted", ""), await _check_websocket(session, address)]


def _check_http_mode(settings: Settings) -> Check:
    listening = f"HTTP mode, listening on {settings.slack_http_host}:{settings.slack_http_port}"
    if settings.slack_public_url is None:
        fix = "Set PARLEY_SLACK_PUBLIC_URL to the address Slack reaches, then paste `parley manifest slack` again."
        return Check("slack requests", False, f"{listening}; the public address is not set", fix)
    return Check("slack requests", True, f"{listening}, public address {settings.slack_public_url}", "")


def _check_bot_token(identity: Identity) -> Check:
    if not identity.bot.bot_id:
        return Check("slack bot token", False, "belongs to a user, not to the bot", f"{web_client.BOT_TOKEN_HELP}.")
    return Check("slack bot token", True, f"{identity.team} ({identity.bot.team_id}) as {identity.bot.user_id}", "")


def _check_scopes(identity: Identity) -> Check:
    if not identity.scopes:  # Some proxies and servers in Slack's place leave the header with the scopes out.
        return Check("slack scopes", True, "unknown: the server did not report them", "")
    missing = sorted(SCOPES.keys() - identity.scopes)
    if missing:
        return Check("slack scopes", False, "missing: " + ", ".join(missing), REINSTALL)
    return Check("slack scopes", True, f"all {len(SCOPES)} granted", "")


def _check_clock(identity: Identity, now: datetime) -> Check:
    try:
        skew = abs((parsedate_to_datetime(identity.date) - now).total_seconds())
    except ValueError:
        return Check("slack clock", True, "Slack did not report its time", "")
    if skew > MAX_CLOCK_SKEW_SECONDS:
        fix = "Set this machine's clock (NTP): in HTTP mode, Slack's requests are refused beyond 300 seconds."
        return Check("slack clock", False, f"differs from Slack's by {skew:.0f} s", fix)
    return Check("slack clock", True, f"differs from Slack's by {skew:.0f} s", "")


async def _check_channels(client: AsyncWebClient) -> Check:
    """Check that the bot is in a channel, and that it may post in its channels."""
    try:
        with errors.translated():
            page = await client.users_conversations(
                types="public_channel,private_channel", exclude_archived=True, limit=CHANNELS_PAGE_SIZE
            )
    except ParleyError as error:
        return Check("slack channels", False, str(error), REINSTALL)
    channels = page.get("channels") or []
    read_only = [f"#{channel.get('name')}" for channel in channels if channel.get("is_read_only")]
    if not channels:
        return Check("slack channels", False, "the bot is in no channel", "Write /invite @Parley in a channel.")
    if read_only:
        fix = "Let the bot post there: channel name > 'Settings' > 'Posting permissions'."
        return Check("slack channels", False, f"the bot cannot post in {', '.join(read_only[:10])}", fix)
    more = "+" if len(channels) >= CHANNELS_PAGE_SIZE else ""
    return Check("slack channels", True, f"in {len(channels)}{more}", "")


async def _check_websocket(session: aiohttp.ClientSession, address: str) -> Check:
    fix = "Switch 'Socket Mode' on; a firewall or proxy must let WebSockets (wss) through."
    try:
        async with asyncio.timeout(HELLO_TIMEOUT_SECONDS), session.ws_connect(address) as socket:
            hello = await socket.receive_json()
    except (aiohttp.ClientError, TimeoutError, OSError, TypeError, ValueError) as error:
        return Check("slack socket mode", False, f"the WebSocket did not open ({type(error).__name__})", fix)
    if hello.get("type") != "hello":
        return Check("slack socket mode", False, f"Slack sent {hello.get('type')} ({hello.get('reason')})", fix)
    return Check("slack socket mode", True, f"connected ({hello.get('num_connections', 1)} open)", "")
