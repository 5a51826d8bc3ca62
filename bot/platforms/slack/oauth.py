"""How a workspace installs the app: off to Slack with a state that is good once, back with a code for its tokens.

https://docs.slack.dev/authentication/installing-with-oauth. The state is bound to the browser by a cookie; the database
keeps its digest, so that any process can take the browser back.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode, urlsplit

import aiohttp
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.web.async_client import AsyncWebClient
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from bot.config import Settings
from bot.errors import ParleyError, StoreAway
from bot.platforms.slack import errors, oauth_pages
from bot.platforms.slack.installations import Installations, access, credentials, name_of
from bot.platforms.slack.manifest import INSTALL_PATH, REDIRECT_PATH, SCOPES, redirect_url
from bot.store import slack_workspaces
from bot.store.session import ALL_TENANTS, Database
from bot.store.slack_workspaces import Installed

log = logging.getLogger(__name__)

AUTHORIZE_URL = "https://slack.com/oauth/v2/authorize"
COOKIE = "parley-slack-state"
GOOD_FOR = timedelta(minutes=10)


class Declined(ParleyError):
    """The installation does not come about; the message is for the person in the browser."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class Consent:
    """The two pages of the installation."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        installations: Installations,
        client: AsyncWebClient,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """``client`` calls Slack with no token of its own."""
        self._settings = settings
        self._public = settings.slack_public_url or ""
        self._database = database
        self._installations = installations
        self._client = client
        self._clock = clock

    def routes(self) -> list[Route]:
        """Where the browser comes."""
        return [Route(INSTALL_PATH, self.begin), Route(REDIRECT_PATH, self.finish)]

    async def begin(self, request: Request) -> Response:
        """Off to Slack, which asks the person what the app may do."""
        state, now = secrets.token_urlsafe(32), self._clock()
        try:
            async with self._database.tenant(ALL_TENANTS) as session:
                await slack_workspaces.issue_state(session, _digest(state), expires_at=now + GOOD_FOR, now=now)
        except StoreAway as error:
            return oauth_pages.failed(str(error), 503)
        asked = {
            "client_id": credentials(self._settings)["client_id"],
            "scope": ",".join(sorted(SCOPES)),
            "state": state,
            "redirect_uri": redirect_url(self._public),
        }
        away = RedirectResponse(f"{AUTHORIZE_URL}?{urlencode(asked)}", 302, headers=oauth_pages.HEADERS)
        away.set_cookie(
            COOKIE,
            state,
            max_age=int(GOOD_FOR.total_seconds()),
            path=REDIRECT_PATH,
            secure=urlsplit(self._public).scheme == "https",
            httponly=True,
            samesite="lax",
        )
        return away

    async def finish(self, request: Request) -> Response:
        """Back from Slack: the code becomes tokens, and the tokens an installation."""
        try:
            await self._recognise(request)
            made = await self._install(request.query_params.get("code", ""))
        except Declined as declined:
            log.warning("Slack: an installation did not come about: %s", declined)
            answer = oauth_pages.failed(str(declined), declined.status)
        except ParleyError as error:
            answer = oauth_pages.failed(str(error), 503)
        else:
            answer = oauth_pages.installed(made)
        answer.delete_cookie(COOKIE, path=REDIRECT_PATH)
        return answer

    async def _recognise(self, request: Request) -> None:
        """The browser is the one that began, and comes back for the first time. Raises Declined."""
        state, cookie = request.query_params.get("state", ""), request.cookies.get(COOKIE, "")
        if not state or not hmac.compare_digest(state.encode(), cookie.encode()):
            raise Declined("This is not the browser in which the installation began. Begin again.")
        async with self._database.tenant(ALL_TENANTS) as session:
            good = await slack_workspaces.consume_state(session, _digest(state), now=self._clock())
        if not good:
            raise Declined("This installation took longer than ten minutes, or was done before. Begin again.")
        refused = request.query_params.get("error", "")
        if refused == "access_denied":
            raise Declined("You did not allow it, so nothing was installed.", 200)
        if refused or not request.query_params.get("code"):
            raise Declined(f"Slack did not allow it ({refused[:80] or 'no code'}). Begin again.")

    async def _install(self, code: str) -> Installed:
        try:
            told = await access(self._client, self._settings, code=code, redirect_uri=redirect_url(self._public))
            token = str(told["access_token"])
            if told.get("token_type") != "bot":
                raise Declined("Slack gave no bot token. Begin again.")
            await self._admit(told.data, token)
            me = await self._client.auth_test(token=token)
        except SlackApiError as error:
            raise Declined(f"Slack did not finish the installation ({errors.code(error)}). Begin again.") from None
        except (SlackClientError, aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Declined(f"Slack cannot be reached ({type(error).__name__}). Begin again.", 503) from None
        made = _installed(told.data, str(me.get("bot_id") or ""), self._clock())
        await self._installations.keep(made, token, str(told.get("refresh_token") or ""))
        return made

    async def _admit(self, told: Any, token: str) -> None:
        """Take the app out again where the operator does not serve the workspace. Raises Declined."""
        ids = {str((told.get(name) or {}).get("id") or "") for name in ("team", "enterprise")}
        served = set(self._settings.slack_workspaces)
        if not served or served & ids:
            return
        try:
            await self._client.apps_uninstall(**credentials(self._settings), token=token)
        except (SlackClientError, aiohttp.ClientError, TimeoutError, OSError) as error:
            log.warning("Slack: the app stays in a workspace that is not served: %s", type(error).__name__)
        raise Declined("This Parley does not serve your workspace. Ask whoever runs it to add it.", 403)


def _installed(told: Any, bot_id: str, now: datetime) -> Installed:
    """The installation that ``oauth.v2.access`` tells of; its tokens are not in it."""
    team: Mapping[str, Any] = told.get("team") or {}
    enterprise: Mapping[str, Any] = told.get("enterprise") or {}
    as_a_whole = bool(told.get("is_enterprise_install"))
    lasts = told.get("expires_in")
    return Installed(
        tenant_id=name_of(team.get("id"), enterprise.get("id"), as_a_whole=as_a_whole),
        team_id="" if as_a_whole else str(team.get("id") or ""),
        enterprise_id=str(enterprise.get("id") or ""),
        name=str((enterprise if as_a_whole else team).get("name") or ""),
        app_id=str(told.get("app_id") or ""),
        bot_id=bot_id,
        bot_user_id=str(told.get("bot_user_id") or ""),
        scopes=str(told.get("scope") or ""),
        installed_by=str((told.get("authed_user") or {}).get("id") or ""),
        installed_at=now,
        sealed=None,
        expires_at=now + timedelta(seconds=int(lasts)) if lasts else None,
        refreshed_at=now,
    )


def _digest(state: str) -> str:
    return hashlib.sha256(state.encode()).hexdigest()
