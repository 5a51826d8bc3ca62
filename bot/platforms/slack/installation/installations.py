"""Stores the bot tokens of installed workspaces, encrypted in Postgres, and renews them before they expire.

Slack exchanges each refresh token for a new token only once. So only one process at a time may renew, and a renewed
pair that the database could not store stays in memory until it is stored.
https://docs.slack.dev/authentication/using-token-rotation
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import NamedTuple

import aiohttp
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.async_slack_response import AsyncSlackResponse
from sqlalchemy.ext.asyncio import AsyncSession

from bot.config import Settings
from bot.engine.aio import finish_then_cancel
from bot.errors import ConfigError, MessageGone, PlatformAway, StoreAway, SurfaceError
from bot.platforms.slack import errors, user_messages
from bot.platforms.slack.payloads import BotUser
from bot.store import slack_workspaces
from bot.store.database.advisory_locks import only_one
from bot.store.database.session import Database
from bot.store.privacy.encryption import Seal
from bot.store.slack_workspaces import Installed

log = logging.getLogger(__name__)

CACHE_TIME = timedelta(seconds=30)
"""Seconds for which an installation is cached. Another process may remove or renew it meanwhile."""
RENEWAL_FRACTION = 6
"""A token is renewed in the last sixth of its lifetime: of Slack's twelve hours, the last two."""
POLL_SECONDS = 0.1
MAX_POLLS = 150

EPOCH = datetime.fromtimestamp(0, UTC)
PERMANENT_REFUSALS = frozenset(
    {"invalid_refresh_token", "token_revoked", "token_expired", "account_inactive", "invalid_auth"}
)
"""Slack error codes for a refresh token that will never work again."""

Clock = Callable[[], datetime]
Sleep = Callable[[float], Awaitable[None]]


def installation_key(team_id: str | None, enterprise_id: str | None, *, org_wide: bool = False) -> str:
    """Return the key of an installation: its workspace, or the organization that installed the app org-wide."""
    return f"slack:{enterprise_id}" if org_wide or not team_id else f"slack:{team_id}"


def client_credentials(settings: Settings) -> dict[str, str]:
    """Return the client ID and secret as ``oauth.v2.access`` expects them."""
    secret = settings.slack_client_secret
    assert settings.slack_client_id is not None, "only used if workspaces install the app"
    assert secret is not None, "the settings have both or neither"
    return {"client_id": settings.slack_client_id, "client_secret": secret.get_secret_value()}


async def exchange(client: AsyncWebClient, settings: Settings, **form: str) -> AsyncSlackResponse:
    """Exchange a code or a refresh token for tokens. Raises the SDK's errors.

    The SDK's own method sends the credentials through a class that aiohttp will remove; Slack also accepts form fields.
    """
    return await client.api_call("oauth.v2.access", data={**client_credentials(settings), **form})


class Grant(NamedTuple):
    """An installation with its decrypted tokens. Must not be logged."""

    installation: Installed
    token: str
    refresh_token: str

    def is_renewable(self, now: datetime) -> bool:
        """Return whether it is time to renew the token."""
        expires_at, refreshed_at = self.installation.expires_at, self.installation.refreshed_at
        return expires_at is not None and now > expires_at - (expires_at - refreshed_at) / RENEWAL_FRACTION

    def is_expired(self, now: datetime) -> bool:
        """Return whether Slack no longer accepts the token."""
        return self.installation.expires_at is not None and now >= self.installation.expires_at


@dataclass(slots=True)
class _CacheEntry:
    """The cached grant of a workspace.

    It is read again after ``refresh_at``. After a failed renewal, the next attempt is made after ``retry_at``.
    """

    grant: Grant | None = None
    refresh_at: datetime = EPOCH
    retry_at: datetime = EPOCH
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
        """Set up the store. ``client`` renews tokens and has no token of its own."""
        self._database = database
        self._settings = settings
        self._seal = Seal([key.get_secret_value() for key in settings.token_keys])
        self._client = client
        self._clock = clock
        self._sleep = sleep
        self._cache: dict[str, _CacheEntry] = {}
        self._unstored: dict[str, Grant] = {}
        """Renewed grants by workspace whose tokens are not in the database yet, while it cannot be reached."""

    # --- storing

    async def save(self, installation: Installed, token: str, refresh_token: str) -> None:
        """Store a new installation with encrypted tokens. Raises StoreAway."""
        sealed = self._encrypt(installation.tenant_id, token, refresh_token)

        async def save(session: AsyncSession) -> None:
            await slack_workspaces.save(session, replace(installation, sealed=sealed))

        await self._database.run(installation.tenant_id, save)
        self._cache.pop(installation.tenant_id, None)
        log.info("Slack: installed in %s (%s)", installation.name, installation.tenant_id)

    async def remove(self, team_id: str | None, enterprise_id: str | None, *, removed_at: float) -> str | None:
        """Delete the tokens after the app was removed at ``removed_at`` (Unix time).

        Return the workspace; None if it had no tokens. Its data stays. An installation that is newer than the removal
        stays too.
        """
        # Slack reports the time in whole seconds, so an installation in the same second counts as older.
        at = datetime.fromtimestamp(removed_at + 1, UTC)
        workspace = installation_key(team_id, enterprise_id)

        async def remove(session: AsyncSession) -> bool:
            return await slack_workspaces.remove(session, workspace, told_at=at, now=self._clock())

        removed = await self._database.run(workspace, remove)
        self._cache.pop(workspace, None)
        if not removed:
            return None
        log.info("Slack: removed from %s; its tokens are deleted", workspace)
        return workspace

    async def store_renewed(self) -> None:
        """Store the renewed tokens that could not be stored when Slack issued them. Raises StoreAway."""
        for workspace in list(self._unstored):
            async with self._cache.setdefault(workspace, _CacheEntry()).lock:
                await self._store_renewed(workspace)

    async def reencrypt(self) -> int:
        """Encrypt tokens that use an older key with the first key. Return how many were changed."""
        changed = 0
        for installation in await slack_workspaces.every(self._database):
            if installation.sealed is None or self._seal.is_current(installation.sealed):
                continue
            try:
                secrets = self._seal.open(installation.tenant_id, installation.sealed)
            except ConfigError as error:
                log.error("Slack: %s", error)
                continue
            sealed = self._seal.close(installation.tenant_id, secrets)
            renewed = replace(installation, sealed=sealed, version=installation.version + 1)
            changed += await self._database.run(installation.tenant_id, partial(slack_workspaces.renew, made=renewed))
        return changed

    # --- looking up

    def tenant_of(self, workspace: str) -> str:
        """Return the tenant whose documents the workspace uses: its own, or the local one if PARLEY_HOME says so."""
        return self._settings.tenant_of(workspace, alone=False)

    def of_tenant(self, tenant_id: str) -> str:
        """Return the workspace of a tenant."""
        home = [name for name in self._settings.home if name.startswith("slack:")]
        return home[0] if home and self.tenant_of(home[0]) == tenant_id else tenant_id

    async def tenants(self) -> list[str]:
        """Return the tenants of the workspaces that have the app. Raises StoreAway."""
        every = await slack_workspaces.every(self._database)
        return [self.tenant_of(installed.tenant_id) for installed in every if installed.sealed is not None]

    async def bot_user(self, workspace: str) -> BotUser:
        """Return the bot's identity in a workspace. Raises SurfaceError, ConfigError."""
        found = (await self.grant(workspace)).installation
        tenant_id = self.tenant_of(workspace)
        return BotUser(found.bot_user_id, found.bot_id, found.team_id, tenant_id, enterprise_id=found.enterprise_id)

    async def find(self, team_id: str | None, enterprise_id: str | None, *, org_wide: bool) -> str | None:
        """Return the workspace of an event; None if the app is not installed there. Raises ConfigError."""
        keys = [installation_key(team_id, enterprise_id, org_wide=org_wide)]
        if enterprise_id:
            keys.append(installation_key(None, enterprise_id))
        for workspace in keys:
            try:
                await self.grant(workspace)
            except MessageGone:
                continue
            return workspace
        return None

    async def grant(self, workspace: str) -> Grant:
        """Return the valid tokens of a workspace.

        Raises MessageGone if it has none, ConfigError if no key decrypts them.
        """
        entry = self._cache.setdefault(workspace, _CacheEntry())
        async with entry.lock:
            now = self._clock()
            if entry.grant is None or now >= entry.refresh_at or entry.grant.is_renewable(now):
                entry.grant = None
                entry.grant = await self._current(workspace, entry)
                entry.refresh_at = now + CACHE_TIME
            return entry.grant

    async def replacement(self, workspace: str, refused: str) -> Grant | None:
        """Return the tokens to use after Slack refused ``refused``; None if there are no others."""
        entry = self._cache.setdefault(workspace, _CacheEntry())
        async with entry.lock:
            stored = await self._read(workspace)
            if stored.token == refused:
                if not stored.refresh_token:
                    return None
                stored = await self._renew(workspace, stored, refused=True)
            entry.grant, entry.refresh_at = stored, self._clock() + CACHE_TIME
            return stored if stored.token != refused else None

    # --- renewing

    async def _current(self, workspace: str, entry: _CacheEntry) -> Grant:
        stored, now = await self._read(workspace), self._clock()
        if not stored.is_renewable(now) or (now < entry.retry_at and not stored.is_expired(now)):
            return stored
        try:
            return await self._renew(workspace, stored)
        except SurfaceError as error:
            if stored.is_expired(now):
                raise
            log.warning("Slack: the token of %s could not be renewed yet: %s", workspace, error)
            entry.retry_at = now + CACHE_TIME
            return stored

    async def _read(self, workspace: str) -> Grant:
        try:
            await self._store_renewed(workspace)
        except StoreAway as away:
            log.warning("Slack: the renewed token of %s is stored later: %s", workspace, away.detail)
            return self._unstored[workspace]
        async with self._database.tenant(workspace) as session:
            installation = await slack_workspaces.get(session, workspace)
        if installation is None or installation.sealed is None:
            self._cache.pop(workspace, None)
            raise MessageGone(user_messages.APP_REMOVED)
        secrets = self._seal.open(workspace, installation.sealed)
        return Grant(installation, secrets["token"], secrets.get("refresh_token", ""))

    async def _renew(self, workspace: str, current: Grant, *, refused: bool = False) -> Grant:
        """Return the grant that follows ``current``, whichever process renews it.

        While another process renews, ``current`` is returned unchanged, unless it has expired or Slack ``refused`` it.
        """
        for _ in range(MAX_POLLS):
            async with only_one(self._database, f"parley token {workspace}") as has_lock:
                stored = await self._read(workspace)
                if stored.installation.version != current.installation.version:
                    return stored
                if has_lock:
                    return await finish_then_cancel(self._exchange_refresh_token(workspace, stored))
            if not refused and not current.is_expired(self._clock()):
                return current
            await self._sleep(POLL_SECONDS)
        raise PlatformAway(user_messages.TOKEN_RENEWAL_RUNNING)

    async def _exchange_refresh_token(self, workspace: str, grant: Grant) -> Grant:
        installation, now = grant.installation, self._clock()
        try:
            response = await exchange(
                self._client, self._settings, grant_type="refresh_token", refresh_token=grant.refresh_token
            )
        except SlackApiError as error:
            if errors.code(error) not in PERMANENT_REFUSALS:
                raise errors.surface_error(error) from None
            raise MessageGone(user_messages.token_not_renewed(errors.code(error))) from None
        except (SlackClientError, aiohttp.ClientError, TimeoutError, OSError) as error:
            raise PlatformAway(user_messages.unreachable(error, "Try again.")) from None
        token, refresh_token = str(response["access_token"]), str(response["refresh_token"])
        renewed = replace(
            installation,
            sealed=self._encrypt(workspace, token, refresh_token),
            expires_at=now + timedelta(seconds=int(response["expires_in"])),
            refreshed_at=now,
            version=installation.version + 1,
        )
        self._unstored[workspace] = Grant(renewed, token, refresh_token)
        log.info("Slack: the token of %s was renewed", workspace)
        return await self._read(workspace)

    async def _store_renewed(self, workspace: str) -> None:
        """Store the workspace's renewed tokens, unless the app was reinstalled or removed meanwhile."""
        grant = self._unstored.get(workspace)
        if grant is None:
            return

        async def renew(session: AsyncSession) -> None:
            await slack_workspaces.renew(session, grant.installation)

        await self._database.run(workspace, renew)
        self._unstored.pop(workspace, None)

    def _encrypt(self, workspace: str, token: str, refresh_token: str) -> str:
        return self._seal.close(workspace, {"token": token, "refresh_token": refresh_token})


class InstallationToken:
    """The bot token of one workspace's installation; implements ``BotTokenSource``."""

    def __init__(self, installations: Installations, workspace: str) -> None:
        self._installations = installations
        self._workspace = workspace

    async def token(self) -> str:
        return (await self._installations.grant(self._workspace)).token

    async def replacement(self, refused: str) -> str | None:
        found = await self._installations.replacement(self._workspace, refused)
        return found.token if found else None
