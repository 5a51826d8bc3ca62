"""Slack as several workspaces see it: one address for all, a token for each, and consent that turns into tokens.

Each workspace is a ``SlackDouble`` of its own; calls reach the one whose token they carry.
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
LASTS = 43_200


def is_organisation(team: str) -> bool:
    """Whether the id is that of an organisation."""
    return team.startswith("E")


@dataclass
class Handed:
    """A token that was handed out: of which team, good until when, and by what it is renewed."""

    team: str
    until: float
    refresh_token: str


class Cloud:
    """``workspaces`` by team id, or by that of an organisation that installs the app as a whole, which begins with E.

    ``clock`` tells seconds; tokens are good for twelve hours.
    """

    def __init__(self, workspaces: Mapping[str, SlackDouble], clock: Callable[[], float]) -> None:
        self.workspaces = dict(workspaces)
        self.clock, self.lasts = clock, LASTS
        self.codes: dict[str, str] = {}
        self.tokens: dict[str, Handed] = {}
        self.renewals: list[str] = []
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
        """What SLACK_API_URL is set to."""
        return f"{self.base}/api/"

    def consent(self, team: str) -> str:
        """Somebody allows the app in their workspace; the code that Slack sends back."""
        code = f"code-{next(self._count)}"
        self.codes[code] = team
        return code

    def current(self, team: str) -> str:
        """The token that the team's workspace was given last."""
        return [token for token, handed in self.tokens.items() if handed.team == team][-1]

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        method = request.match_info["method"]
        if method == "oauth.v2.access":
            return web.json_response(self._access(dict(parse_qsl(await request.text()))))
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        handed = self.tokens.get(token)
        if handed is None:
            return web.json_response({"ok": False, "error": "invalid_auth"})
        if self.clock() >= handed.until:
            return web.json_response({"ok": False, "error": "token_expired"})
        if method == "apps.uninstall":
            self.uninstalled.append(handed.team)
            return web.json_response({"ok": True})
        workspace = self.workspaces[handed.team]
        workspace.bot_token = token
        return await workspace.answer(request)

    def _access(self, form: dict[str, str]) -> dict[str, Any]:
        if (form.get("client_id"), form.get("client_secret")) != (CLIENT_ID, CLIENT_SECRET):
            return {"ok": False, "error": "bad_client_secret"}
        if form.get("grant_type") == "refresh_token":
            return self._renewed(form["refresh_token"])
        team = self.codes.pop(form.get("code", ""), None)
        if team is None:
            return {"ok": False, "error": "invalid_code"}
        return self.hand_out(team) | {"authed_user": {"id": "U0ADA"}}

    def _renewed(self, refresh_token: str) -> dict[str, Any]:
        for handed in self.tokens.values():
            if handed.refresh_token == refresh_token:
                handed.refresh_token = ""
                self.renewals.append(handed.team)
                return self.hand_out(handed.team)
        return {"ok": False, "error": "invalid_refresh_token"}

    def hand_out(self, team: str) -> dict[str, Any]:
        """A fresh token for a team's workspace."""
        number = next(self._count)
        token, refresh_token = f"xoxe.xoxb-{team}-{number}", f"xoxe-1-{team}-{number}"
        self.tokens[token] = Handed(team, self.clock() + self.lasts, refresh_token)
        named, whole = {"id": team, "name": f"The {team}"}, is_organisation(team)
        names = {"app_id": APP_ID, "team": None if whole else named, "enterprise": named if whole else None}
        rotation = {"access_token": token, "refresh_token": refresh_token, "expires_in": self.lasts}
        kind = {"token_type": "bot", "bot_user_id": BOT_USER, "scope": "chat:write", "is_enterprise_install": whole}
        return {"ok": True, **names, **rotation, **kind}
