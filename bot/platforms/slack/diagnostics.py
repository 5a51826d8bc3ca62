"""What ``parley doctor`` asks Slack: are the tokens right, may the app do its work, does the connection open?"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import NamedTuple

import aiohttp
from slack_sdk.web.async_client import AsyncWebClient

from bot.config import Settings
from bot.errors import ConfigError, ParleyError
from bot.platforms.slack import connection, errors
from bot.platforms.slack.connection import Identity
from bot.platforms.slack.manifest import SCOPES
from bot.platforms.slack.oauth_diagnostics import check_many, events
from bot.platforms.slack.tokens import Fixed
from bot.store.session import Database

HELLO_SECONDS = 10.0
MOST_SECONDS_APART = 60.0
CHANNELS = 200
REINSTALL = "Paste the output of `parley manifest slack` under 'App Manifest', then 'Install App' > 'Reinstall'."


class Check(NamedTuple):
    """One finding: ``fix`` says what to do, and is empty where all is well."""

    name: str
    ok: bool
    detail: str
    fix: str


async def check(
    settings: Settings,
    *,
    database: Database | None = None,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> list[Check]:
    """Every finding about Slack; one that says so where Slack is not set up. Never raises for what Slack answers.

    Without a database nothing is said of the events that came and of the workspaces that installed the app.
    """
    if settings.many_workspaces:
        return [Check(*one) for one in await check_many(settings, database, clock)] if database else []
    if settings.slack_bot_token is None and settings.slack_app_token is None:
        return [Check("slack", True, "not set up", "")]
    try:
        bot_token, app_token = connection.tokens(settings)
    except ConfigError as error:
        return [_failed("slack tokens", error)]
    async with connection.pool() as session:
        client = connection.clients(settings, session, Fixed(bot_token)).patient
        found: list[Check] = []
        try:
            identity = await connection.identify(client, settings)
            found += [_token(identity), _scopes(identity), _clock(identity, clock()), await _channels(client)]
            if database is not None:
                found.append(Check(*await events(database, identity.me.tenant_id, identity.me.team_id)))
        except ConfigError as error:
            found.append(_failed("slack bot token", error))
        if app_token is None:
            found.append(_over_http(settings))
            return found
        try:
            address = await connection.socket_address(client, app_token)
            found.append(Check("slack app token", True, "accepted", ""))
            found.append(await _socket(session, address))
        except ConfigError as error:
            found.append(_failed("slack app token", error))
        return found


def _failed(name: str, error: ConfigError) -> Check:
    detail, _, fix = str(error).partition("; ")
    return Check(name, False, detail, fix[:1].upper() + fix[1:])


def _over_http(settings: Settings) -> Check:
    heard = f"HTTP mode, heard on {settings.slack_http_host}:{settings.slack_http_port}"
    if settings.slack_public_url is None:
        fix = "Set PARLEY_SLACK_PUBLIC_URL to the address Slack reaches, then paste `parley manifest slack` again."
        return Check("slack requests", False, f"{heard}; the public address is not set", fix)
    return Check("slack requests", True, f"{heard}, reached at {settings.slack_public_url}", "")


def _token(identity: Identity) -> Check:
    if not identity.me.bot_id:
        return Check("slack bot token", False, "belongs to a person, not to the bot", connection.HOW_TO_SIGN_IN)
    return Check("slack bot token", True, f"{identity.team} ({identity.me.team_id}) as {identity.me.user_id}", "")


def _scopes(identity: Identity) -> Check:
    missing = sorted(SCOPES.keys() - identity.scopes)
    if missing:
        return Check("slack scopes", False, "missing: " + ", ".join(missing), REINSTALL)
    return Check("slack scopes", True, f"all {len(SCOPES)} granted", "")


def _clock(identity: Identity, now: datetime) -> Check:
    try:
        apart = abs((parsedate_to_datetime(identity.date) - now).total_seconds())
    except ValueError:
        return Check("slack clock", True, "Slack did not tell its time", "")
    if apart > MOST_SECONDS_APART:
        fix = "Set this machine's clock (NTP): over HTTP, Slack's requests count as too old beyond 300 seconds."
        return Check("slack clock", False, f"{apart:.0f} s apart from Slack's", fix)
    return Check("slack clock", True, f"{apart:.0f} s apart from Slack's", "")


async def _channels(client: AsyncWebClient) -> Check:
    """Where the bot is, and where it may not post."""
    try:
        with errors.translated():
            page = await client.users_conversations(
                types="public_channel,private_channel", exclude_archived=True, limit=CHANNELS
            )
    except ParleyError as error:
        return Check("slack channels", False, str(error), REINSTALL)
    found = page.get("channels") or []
    mute = [f"#{one.get('name')}" for one in found if one.get("is_read_only")]
    if not found:
        return Check("slack channels", False, "the bot is in no channel", "Write /invite @Parley in a channel.")
    if mute:
        fix = "Let the bot post there: channel name > 'Settings' > 'Posting permissions'."
        return Check("slack channels", False, f"it cannot post in {', '.join(mute[:10])}", fix)
    return Check("slack channels", True, f"in {len(found)}{'+' if len(found) >= CHANNELS else ''}", "")


async def _socket(session: aiohttp.ClientSession, address: str) -> Check:
    fix = "Switch 'Socket Mode' on; a firewall or proxy must let WebSockets (wss) through."
    try:
        async with asyncio.timeout(HELLO_SECONDS), session.ws_connect(address) as socket:
            hello = await socket.receive_json()
    except (aiohttp.ClientError, TimeoutError, OSError, TypeError, ValueError) as error:
        return Check("slack socket mode", False, f"the WebSocket did not open ({type(error).__name__})", fix)
    if hello.get("type") != "hello":
        return Check("slack socket mode", False, f"Slack answered {hello.get('type')} ({hello.get('reason')})", fix)
    return Check("slack socket mode", True, f"connected ({hello.get('num_connections', 1)} open)", "")
