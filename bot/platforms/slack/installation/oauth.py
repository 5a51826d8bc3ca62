"""Installs the app in a workspace with Slack's OAuth flow: redirects to Slack, then exchanges the code for tokens.

https://docs.slack.dev/authentication/installing-with-oauth. The state is signed, so starting an installation stores
nothing. A cookie binds it to the browser. Its return is stored, so that it is valid once, and any process can complete
the flow.
"""

from __future__ import annotations

import hmac
import logging
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
from bot.errors import ParleyError
from bot.platforms.slack import errors, user_messages
from bot.platforms.slack.installation import oauth_pages, oauth_state
from bot.platforms.slack.installation.installations import Installations, client_credentials, exchange, installation_key
from bot.platforms.slack.installation.manifest import INSTALL_PATH, REDIRECT_PATH, SCOPES, redirect_url
from bot.store import slack_workspaces
from bot.store.database.session import Database
from bot.store.slack_workspaces import Installed

log = logging.getLogger(__name__)

AUTHORIZE_URL = "https://slack.com/oauth/v2/authorize"
STATE_COOKIE = "parley-slack-state"


class InstallationRefused(ParleyError):
    """The installation fails; the message is for the person in the browser."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class OAuthFlow:
    """Handles the two requests of an installation: its start and Slack's redirect back."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        installations: Installations,
        client: AsyncWebClient,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Set up the flow. ``client`` has no token."""
        self._settings = settings
        self._public_url = settings.slack_public_url or ""
        self._database = database
        self._installations = installations
        self._client = client
        self._clock = clock

    def routes(self) -> list[Route]:
        """Return the routes for the browser."""
        return [Route(INSTALL_PATH, self.start), Route(REDIRECT_PATH, self.complete)]

    async def start(self, request: Request) -> Response:
        """Redirect to Slack, which asks the user to approve the scopes."""
        credentials = client_credentials(self._settings)
        state = oauth_state.create(credentials["client_secret"], self._clock())
        query = {
            "client_id": credentials["client_id"],
            "scope": ",".join(sorted(SCOPES)),
            "state": state,
            "redirect_uri": redirect_url(self._public_url),
        }
        redirect = RedirectResponse(f"{AUTHORIZE_URL}?{urlencode(query)}", 302, headers=oauth_pages.HEADERS)
        redirect.set_cookie(
            STATE_COOKIE,
            state,
            max_age=int(oauth_state.LIFETIME.total_seconds()),
            path=REDIRECT_PATH,
            secure=urlsplit(self._public_url).scheme == "https",
            httponly=True,
            samesite="lax",
        )
        return redirect

    async def complete(self, request: Request) -> Response:
        """Exchange the code for tokens and store the installation."""
        try:
            await self._verify(request)
            installation = await self._install(request.query_params.get("code", ""))
        except InstallationRefused as refusal:
            log.warning("Slack: an installation failed: %s", refusal)
            page = oauth_pages.failed(str(refusal), refusal.status)
        except ParleyError as error:
            page = oauth_pages.failed(str(error), 503)
        else:
            page = oauth_pages.installed(installation)
        page.delete_cookie(STATE_COOKIE, path=REDIRECT_PATH)
        return page

    async def _verify(self, request: Request) -> None:
        """Raise InstallationRefused unless this browser started the flow, the state is unused and the user approved."""
        state, cookie = request.query_params.get("state", ""), request.cookies.get(STATE_COOKIE, "")
        if not state or not hmac.compare_digest(state.encode(), cookie.encode()):
            raise InstallationRefused(user_messages.WRONG_BROWSER)
        if not await self._consume(state):
            raise InstallationRefused(user_messages.INSTALL_EXPIRED)
        error_code = request.query_params.get("error", "")
        if error_code == "access_denied":
            raise InstallationRefused(user_messages.INSTALL_DENIED, 200)
        if error_code or not request.query_params.get("code"):
            raise InstallationRefused(user_messages.install_refused(error_code[:80]))

    async def _consume(self, state: str) -> bool:
        """Return whether the state is signed by this app, has not expired and is used for the first time."""
        now = self._clock()
        expires_at = oauth_state.expires_at(client_credentials(self._settings)["client_secret"], state)
        if expires_at is None or expires_at <= now.timestamp():
            return False
        async with self._database.queue() as session:
            return await slack_workspaces.use_state(
                session, oauth_state.digest(state), expires_at=datetime.fromtimestamp(expires_at, UTC), now=now
            )

    async def _install(self, code: str) -> Installed:
        try:
            response = await exchange(
                self._client, self._settings, code=code, redirect_uri=redirect_url(self._public_url)
            )
            token = str(response["access_token"])
            if response.get("token_type") != "bot":
                raise InstallationRefused(user_messages.NO_BOT_TOKEN)
            await self._check_is_served(response.data, token)
            identity = await self._client.auth_test(token=token)
        except SlackApiError as error:
            raise InstallationRefused(user_messages.install_not_finished(errors.code(error))) from None
        except (SlackClientError, aiohttp.ClientError, TimeoutError, OSError) as error:
            raise InstallationRefused(user_messages.unreachable(error, "Start again."), 503) from None
        installation = _installation_from(response.data, str(identity.get("bot_id") or ""), self._clock())
        await self._installations.save(installation, token, str(response.get("refresh_token") or ""))
        return installation

    async def _check_is_served(self, response: Any, token: str) -> None:
        """Uninstall the app and raise InstallationRefused if the operator does not serve the workspace."""
        ids = {str((response.get(name) or {}).get("id") or "") for name in ("team", "enterprise")}
        served = set(self._settings.slack_workspaces)
        if not served or served & ids:
            return
        try:
            await self._client.apps_uninstall(**client_credentials(self._settings), token=token)
        except (SlackClientError, aiohttp.ClientError, TimeoutError, OSError) as error:
            log.warning("Slack: the app stays installed in a workspace that is not served: %s", type(error).__name__)
        raise InstallationRefused(user_messages.WORKSPACE_NOT_SERVED, 403)


def _installation_from(response: Any, bot_id: str, now: datetime) -> Installed:
    """Return the installation in a response of ``oauth.v2.access``, without its tokens."""
    team: Mapping[str, Any] = response.get("team") or {}
    enterprise: Mapping[str, Any] = response.get("enterprise") or {}
    org_wide = bool(response.get("is_enterprise_install"))
    lifetime = response.get("expires_in")
    return Installed(
        tenant_id=installation_key(team.get("id"), enterprise.get("id"), org_wide=org_wide),
        team_id="" if org_wide else str(team.get("id") or ""),
        enterprise_id=str(enterprise.get("id") or ""),
        name=str((enterprise if org_wide else team).get("name") or ""),
        app_id=str(response.get("app_id") or ""),
        bot_id=bot_id,
        bot_user_id=str(response.get("bot_user_id") or ""),
        scopes=str(response.get("scope") or ""),
        installed_by=str((response.get("authed_user") or {}).get("id") or ""),
        installed_at=now,
        sealed=None,
        expires_at=now + timedelta(seconds=int(lifetime)) if lifetime else None,
        refreshed_at=now,
    )
