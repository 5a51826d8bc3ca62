"""A stateful test double of Discord on loopback: REST API v10 and gateway, with Discord's rules and rate limits.

    async with DiscordDouble() as discord:
        general = discord.channel("general")
        asked = await discord.say(general, discord.user("Ada"), f"{discord.bot.mention} hello?")
        await discord.until(lambda: discord.messages(asked.id))

A request that breaks a rule is refused as Discord refuses it. What Discord allows but the bot must not do is recorded
in ``violations``. Every message keeps all its versions.
"""

from __future__ import annotations

import asyncio
from types import TracebackType

from aiohttp import web

from tests.doubles import discord_errors
from tests.doubles.discord_gateway import Gateway
from tests.doubles.discord_people import People
from tests.doubles.discord_rest import Fault, Rest

LIMITS = {
    "POST /channels/{channel_id}/messages": (5, 5.0),
    "PATCH /channels/{channel_id}/messages/{message_id}": (5, 5.0),
    "*": (50, 1.0),
    "global": (50, 1.0),
}
MAX_INVALID = 10_000
"""Responses of 401, 403 and 429 within ten minutes after which Discord bans an IP address."""
CONTENT_INTENT_FLAG = 1 << 19


class DiscordDouble(People):
    """A Discord with one guild; ``add_guild`` adds more. Use as an async context manager.

    ``approved``: privileged intents that the bot may use. ``shards``: connections among which a bot must divide the
    guilds. ``max_invalid``: invalid requests within ten minutes that are a violation.
    """

    def __init__(
        self,
        *,
        token: str = "double.bot.token",
        approved: frozenset[str] = frozenset({"message_content"}),
        limits: dict[str, tuple[int, float]] | None = None,
        shards: int = 1,
        max_invalid: int = MAX_INVALID,
    ) -> None:
        super().__init__(shards)
        self.token = token
        self.approved = approved
        self.flags = CONTENT_INTENT_FLAG if "message_content" in approved else 0
        self.command_syncs = 0
        self.gateway = Gateway(self)
        self.gateway.changed = self.changed
        self.rest = Rest(self, LIMITS | (limits or {}), max_invalid)
        self._runner: web.AppRunner | None = None
        self._port = 0

    # --- the server

    async def __aenter__(self) -> DiscordDouble:
        app = web.Application()
        app.router.add_get("/gateway/", self.gateway.handle)
        app.router.add_get("/files/{id}/{name}", self._file)
        app.router.add_route("*", "/api/v10/{path:.*}", self.rest.handle)
        self._runner = web.AppRunner(app, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self._port = self._runner.addresses[0][1]
        self.world.url = f"http://127.0.0.1:{self._port}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.gateway.close()
        if self._runner is not None:
            await self._runner.cleanup()
        for interaction in self.interactions.values():
            if interaction.acknowledged_by is None:
                self.violations.append("an interaction was never acknowledged")

    @property
    def api_url(self) -> str:
        return f"http://127.0.0.1:{self._port}/api/v10"

    @property
    def gateway_url(self) -> str:
        return f"ws://127.0.0.1:{self._port}/gateway/"

    async def _file(self, request: web.Request) -> web.Response:
        file = self.world.files.get(int(request.match_info["id"]))
        if file is None:
            return web.Response(status=404)
        return web.Response(body=file.data, content_type=file.content_type)

    def fail(
        self, method: str, pattern: str, *, status: int, code: int = 0, times: int = 1, retry_after: float = 0.0
    ) -> None:
        """Fail the next ``times`` requests whose path matches ``pattern``, with a code that Discord documents."""
        discord_errors.check(status, code)
        self.rest.faults.append(Fault(method, pattern, status, code, times, retry_after))

    # --- connecting

    async def connected(self, task: asyncio.Task[None] | None = None) -> None:
        """Wait until the bot is connected. Raises the error of ``task`` if it ends first."""
        await self.until(lambda: self.gateway.connected or (task is not None and task.done()))
        if task is not None and task.done():
            await task
