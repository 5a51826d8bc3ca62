"""Emulates Slack for several workspaces: OAuth consent, token rotation, and one API address for all.

Each workspace is a ``SlackDouble``; the token of a call selects the workspace.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import parse_qsl

from aiohttp import web

from tests.doubles.slack import SlackDouble
from tests.doubles.slack_world import APP_ID, BOT_USER

CLIENT_ID, CLIENT_SECRET = "111.222", "client-secret"
TOKEN_SECONDS = 43_200


def is_organization(team: str) -> bool:
    """Return whether the ID belongs to an organization."""
    return team.startswith("E")


@dataclass
class IssuedToken:
    """An issued token: its team, its expiry and its refresh token."""

    team: str
    expires_at: float
    refresh_token: str


class SlackCloud:
    """Serves ``workspaces`` by team ID, or by the ID of an organization (starts with E) that installs the app org-wide.

    ``clock`` returns seconds; tokens are valid for twelve hours. ``on_renewal`` is called when a token was renewed,
    before the answer is sent.
    """

    def __init__(self, workspaces: Mapping[str, SlackDouble], clock: Callable[[], float]) -> None:
        self.workspaces = dict(workspaces)
        for team, workspace in self.workspaces.items():
            _settle(workspace, team)
        self.clock, self.token_seconds = clock, TOKEN_SECONDS
        self.codes: dict[str, str] = {}
        self.tokens: dict[str, IssuedToken] = {}
        self.renewals: list[str] = []
        self.on_renewal: Callable[[], None] = lambda: None
        self.uninstalled: list[str] = []
        self.base = ""
        self._count = itertools.count(1)

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_route("*", "/api/{method}", self._serve)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.base = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    @property
    def api_url(self) -> str:
        """The value for SLACK_API_URL."""
        return f"{self.base}/api/"

    def consent(self, team: str) -> str:
        """Approve the app in a workspace and return the code that Slack sends back."""
        code = f"code-{next(self._count)}"
        self.codes[code] = team
        return code

    def current(self, team: str) -> str:
        """Return the latest token of a workspace."""
        return [token for token, issued in self.tokens.items() if issued.team == team][-1]

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        method = request.match_info["method"]
        if method == "oauth.v2.access":
            return web.json_response(self._exchange(dict(parse_qsl(await request.text()))))
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        issued = self.tokens.get(token)
        if issued is None:
            return web.json_response({"ok": False, "error": "invalid_auth"})
        if self.clock() >= issued.expires_at:
            return web.json_response({"ok": False, "error": "token_expired"})
        if method == "apps.uninstall":
            self.uninstalled.append(issued.team)
            return web.json_response({"ok": True})
        workspace = self.workspaces[issued.team]
        workspace.bot_token = token
        return await workspace.answer(request)

    def _exchange(self, form: dict[str, str]) -> dict[str, Any]:
        if (form.get("client_id"), form.get("client_secret")) != (CLIENT_ID, CLIENT_SECRET):
            return {"ok": False, "error": "bad_client_secret"}
        if form.get("grant_type") == "refresh_token":
            return self._renew(form["refresh_token"])
        team = self.codes.pop(form.get("code", ""), None)
        if team is None:
            return {"ok": False, "error": "invalid_code"}
        return self.issue(team) | {"authed_user": {"id": "U0ADA"}}

    def _renew(self, refresh_token: str) -> dict[str, Any]:
        for issued in self.tokens.values():
            if issued.refresh_token == refresh_token:
                issued.refresh_token = ""
                self.renewals.append(issued.team)
                self.on_renewal()
                return self.issue(issued.team)
        return {"ok": False, "error": "invalid_refresh_token"}

    def issue(self, team: str) -> dict[str, Any]:
        """Return a new token for a workspace."""
        number = next(self._count)
        token, refresh_token = f"xoxe.xoxb-{team}-{number}", f"xoxe-1-{team}-{number}"
        self.tokens[token] = IssuedToken(team, self.clock() + self.token_seconds, refresh_token)
        owner, org_wide = {"id": team, "name": f"The {team}"}, is_organization(team)
        owners = {"app_id": APP_ID, "team": None if org_wide else owner, "enterprise": owner if org_wide else None}
        rotation = {"access_token": token, "refresh_token": refresh_token, "expires_in": self.token_seconds}
        bot = {"token_type": "bot", "bot_user_id": BOT_USER, "scope": "chat:write", "is_enterprise_install": org_wide}
        return {"ok": True, **owners, **rotation, **bot}


def _settle(workspace: SlackDouble, team: str) -> None:
    """Make the people of a double members of this workspace, or of one of this organization's."""
    for user in workspace.world.users.values():
        if is_organization(team):
            user.enterprise_user = {"id": user.id, "enterprise_id": team, "teams": [user.team_id]}
        else:
            user.team_id = team
