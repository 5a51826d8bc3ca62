"""Workspaces that installed the app: their tokens, sealed in Postgres, opened for a call, renewed before they end.

Slack renews a token for whoever shows the refresh token, and takes each refresh token once: among all processes one
renews at a time. https://docs.slack.dev/authentication/using-token-rotation
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import aiohttp
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from bot.config import Settings
from bot.errors import ConfigError, MessageGone, SurfaceError
from bot.platforms.slack import errors
from bot.platforms.slack.parse import Me
from bot.store import slack_workspaces
from bot.store.advisory_locks import only_one
from bot.store.encryption import Seal
from bot.store.session import Database
from bot.store.slack_workspaces import Installed

log = logging.getLogger(__name__)

FRESH = timedelta(seconds=30)
"""How long an installation is taken to be as it was last seen: another process may have removed or renewed it."""
LAST_PART = 6
"""A token is renewed in the last sixth of its life: of Slack's twelve hours, the last two."""
LOOK_AGAIN_SECONDS = 0.1
LOOKS = 150

LONG_AGO = datetime.fromtimestamp(0, UTC)
LOST = frozenset({"invalid_refresh_token", "token_revoked", "token_expired", "account_inactive", "invalid_auth"})
"""Slack's answers to a refresh token that will never be good again."""

Clock = Callable[[], datetime]
Sleep = Callable[[float], Awaitable[None]]


def name_of(team_id: str | None, enterprise_id: str | None, *, as_a_whole: bool = False) -> str:
    """What an installation is kept under: its workspace, or the organisation that installed it as a whole."""
    return f"slack:{enterprise_id}" if as_a_whole or not team_id else f"slack:{team_id}"


def credentials(settings: Settings) -> dict[str, str]:
    """Client id and secret, as ``oauth.v2.access`` takes them."""
    secret = settings.slack_client_secret
    assert settings.slack_client_id is not None, "only where many workspaces install the app"
    assert secret is not None, "settings have both or none"
    return {"client_id": settings.slack_client_id, "client_secret": secret.get_secret_value()}


async def access(client: AsyncWebClient, settings: Settings, **form: str) -> AsyncSlackResponse:
    """Tokens for a code or for a refresh token. Raises what the SDK raises.

    The SDK's own method sends id and secret by a class that aiohttp is about to drop; Slack takes them in the form too.
    """
    return await client.api_call("oauth.v2.access", data={**credentials(settings), **form})


class Grant(NamedTuple):
    """An installation with its tokens open. It must not be logged."""

    made: Installed
    token: str
    refresh_token: str

    def is_due(self, now: datetime) -> bool:
        """Whether it is time to renew the token."""
        if self.made.expires_at is None:
            return False
        return now > self.made.expires_at - (self.made.expires_at - self.made.refreshed_at) / LAST_PART

    def is_over(self, now: datetime) -> bool:
        """Whether Slack no longer takes the token."""
        return self.made.expires_at is not None and now >= self.made.expires_at


@dataclass(slots=True)
class _Seen:
    """What this process remembers of a workspace. ``until`` is when it looks again, ``quiet_until`` when it asks Slack
    again for a token that Slack did not renew."""

    grant: Grant | None = None
    until: datetime = LONG_AGO
    quiet_until: datetime = LONG_AGO
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Installations:
    """The tokens of every workspace."""

    def __init__(
        self,
        database: Database,
        settings: Settings,
        client: AsyncWebClient,
        *,
        clock: Clock = lambda: datetime.now(UTC),
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        """``client`` calls Slack for renewal, with no token of its own."""
        self._database = database
        self._settings = settings
        self._seal = Seal([key.get_secret_value() for key in settings.token_keys])
        self._client = client
        self._clock = clock
        self._sleep = sleep
        self._seen: dict[str, _Seen] = {}

    # --- keeping

    async def keep(self, made: Installed, token: str, refresh_token: str) -> None:
        """Keep a new installation, its tokens sealed. Raises StoreAway."""
        sealed = self._sealed(made.tenant_id, token, refresh_token)
        async with self._database.tenant(made.tenant_id) as session:
            await slack_workspaces.save(session, replace(made, sealed=sealed))
        self._seen.pop(made.tenant_id, None)
        log.info("Slack: installed in %s (%s)", made.name, made.tenant_id)

    async def remove(self, team_id: str | None, enterprise_id: str | None, *, told_at: float) -> list[str]:
        """Forget the tokens: the app was removed at ``told_at``, in seconds since 1970; the names of the installations.

        What the workspace wrote and took in stays. An installation that is younger than the news of it stays too.
        """
        # Slack tells the whole second in which it happened.
        at = datetime.fromtimestamp(told_at + 1, UTC)
        gone = []
        for workspace in {name_of(team_id, enterprise_id), name_of(team_id, enterprise_id, as_a_whole=not team_id)}:
            async with self._database.tenant(workspace) as session:
                if await slack_workspaces.remove(session, workspace, told_at=at, now=self._clock()):
                    gone.append(workspace)
                    log.info("Slack: removed from %s; its tokens are deleted", workspace)
            self._seen.pop(workspace, None)
        return gone

    async def reseal(self) -> int:
        """Close what lies under an older key anew under the first one; how many that were."""
        done = 0
        for made in await slack_workspaces.every(self._database):
            if made.sealed is None or self._seal.is_current(made.sealed):
                continue
            try:
                opened = self._seal.open(made.tenant_id, made.sealed)
            except ConfigError as error:
                log.error("Slack: %s", error)
                continue
            async with self._database.tenant(made.tenant_id) as session:
                done += await slack_workspaces.renew(
                    session,
                    made,
                    sealed=self._seal.close(made.tenant_id, opened),
                    expires_at=made.expires_at,
                    now=made.refreshed_at,
                )
        return done

    # --- using

    def tenant_of(self, workspace: str) -> str:
        """The tenant whose documents the workspace asks: its own, or the one of the terminal where PARLEY_HOME says."""
        return self._settings.tenant_of(workspace, alone=False)

    def of_tenant(self, tenant_id: str) -> str:
        """The workspace whose tenant that is."""
        home = [name for name in self._settings.home if name.startswith("slack:")]
        return home[0] if home and self.tenant_of(home[0]) == tenant_id else tenant_id

    async def me(self, workspace: str) -> Me:
        """The bot as the workspace knows it. Raises SurfaceError, ConfigError."""
        made = (await self.grant(workspace)).made
        return Me(made.bot_user_id, made.bot_id, made.team_id, self.tenant_of(workspace), alone=True)

    async def find(self, team_id: str | None, enterprise_id: str | None, *, as_a_whole: bool) -> str | None:
        """The workspace that an event came from; None where the app is not installed there. Raises ConfigError."""
        names = [name_of(team_id, enterprise_id, as_a_whole=as_a_whole)]
        if enterprise_id:
            names.append(name_of(None, enterprise_id))
        for workspace in names:
            try:
                await self.grant(workspace)
            except MessageGone:
                continue
            return workspace
        return None

    async def grant(self, workspace: str) -> Grant:
        """Its tokens as they are good now. Raises MessageGone where it has none, ConfigError where no key fits."""
        seen = self._seen.setdefault(workspace, _Seen())
        async with seen.lock:
            now = self._clock()
            if seen.grant is None or now >= seen.until or seen.grant.is_due(now):
                seen.grant = None
                seen.grant = await self._current(workspace, seen)
                seen.until = now + FRESH
            return seen.grant

    async def anew(self, workspace: str, refused: str) -> Grant | None:
        """Its tokens after Slack refused that one; None where there are no others."""
        seen = self._seen.setdefault(workspace, _Seen())
        async with seen.lock:
            found = await self._read(workspace)
            if found.token == refused:
                if not found.refresh_token:
                    return None
                found = await self._renewed(workspace, found)
            seen.grant, seen.until = found, self._clock() + FRESH
            return found if found.token != refused else None

    # --- inside

    async def _current(self, workspace: str, seen: _Seen) -> Grant:
        found, now = await self._read(workspace), self._clock()
        if not found.is_due(now) or (now < seen.quiet_until and not found.is_over(now)):
            return found
        try:
            return await self._renewed(workspace, found)
        except SurfaceError as error:
            if found.is_over(now):
                raise
            log.warning("Slack: the token of %s is used as it is: %s", workspace, error)
            seen.quiet_until = now + FRESH
            return found

    async def _read(self, workspace: str) -> Grant:
        async with self._database.tenant(workspace) as session:
            made = await slack_workspaces.get(session, workspace)
        if made is None or made.sealed is None:
            self._seen.pop(workspace, None)
            raise MessageGone("Parley is not installed in this Slack workspace; install it again.")
        opened = self._seal.open(workspace, made.sealed)
        return Grant(made, opened["token"], opened.get("refresh_token", ""))

    async def _renewed(self, workspace: str, known: Grant) -> Grant:
        """The token after ``known``, whichever process has it made."""
        for _ in range(LOOKS):
            async with only_one(self._database, f"parley token {workspace}") as alone:
                found = await self._read(workspace)
                if found.made.version != known.made.version:
                    return found
                if alone:
                    return await self._exchanged(workspace, found)
            if not known.is_over(self._clock()):
                return known
            await self._sleep(LOOK_AGAIN_SECONDS)
        raise SurfaceError("Slack's token of this workspace is being renewed; try again.")

    async def _exchanged(self, workspace: str, found: Grant) -> Grant:
        made, now = found.made, self._clock()
        try:
            fresh = await access(
                self._client, self._settings, grant_type="refresh_token", refresh_token=found.refresh_token
            )
        except SlackApiError as error:
            if errors.code(error) not in LOST:
                raise errors.surface_error(error) from None
            told = f"Slack does not renew the workspace's token ({errors.code(error)}); install the app again."
            raise MessageGone(told) from None
        except (SlackClientError, aiohttp.ClientError, TimeoutError, OSError) as error:
            raise SurfaceError(f"Slack cannot be reached ({type(error).__name__}); try again.") from None
        token, refresh_token = str(fresh["access_token"]), str(fresh["refresh_token"])
        expires_at = now + timedelta(seconds=int(fresh["expires_in"]))
        sealed = self._sealed(workspace, token, refresh_token)
        async with self._database.tenant(workspace) as session:
            kept = await slack_workspaces.renew(session, made, sealed=sealed, expires_at=expires_at, now=now)
        if not kept:
            return await self._read(workspace)
        log.info("Slack: the token of %s was renewed", workspace)
        renewed = replace(made, sealed=sealed, expires_at=expires_at, refreshed_at=now, version=made.version + 1)
        return Grant(renewed, token, refresh_token)

    def _sealed(self, workspace: str, token: str, refresh_token: str) -> str:
        return self._seal.close(workspace, {"token": token, "refresh_token": refresh_token})


class Stored:
    """The token of one workspace's installation."""

    def __init__(self, installations: Installations, workspace: str) -> None:
        self._installations = installations
        self._workspace = workspace

    async def token(self) -> str:
        return (await self._installations.grant(self._workspace)).token

    async def again(self, refused: str) -> str | None:
        found = await self._installations.anew(self._workspace, refused)
        return found.token if found else None
