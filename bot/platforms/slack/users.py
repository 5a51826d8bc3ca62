"""Who a Slack user id is: a name to show, and whether they run the workspace."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection

import aiohttp
from slack_sdk.errors import SlackClientError
from slack_sdk.web.async_client import AsyncWebClient

from bot.errors import ParleyError
from bot.types.conversation import Author

log = logging.getLogger(__name__)

FRESH_SECONDS = 600.0
PATIENCE_SECONDS = 1.5
"""A look-up stands before the ack, which Slack wants within 3 seconds."""


class People:
    """Looks users up once in ten minutes. Whoever cannot be looked up is nobody's admin, save by the settings."""

    def __init__(
        self,
        client: AsyncWebClient,
        admins: Collection[str],
        *,
        clock: Callable[[], float] = time.monotonic,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        self._client = client
        self._admins = frozenset(admins)
        self._clock = clock
        self._patience = patience
        self._teams: dict[str, str] = {}
        self._known: dict[str, tuple[float, Author]] = {}
        self._asking: dict[str, asyncio.Task[Author]] = {}

    async def author(self, user_id: str) -> Author:
        """The person behind a user id. Never raises for what Slack does.

        Whoever waits shares one look-up, and it goes on in the background when nobody has the patience.
        """
        known = self._known.get(user_id)
        if known and self._clock() - known[0] < FRESH_SECONDS:
            return known[1]
        asking = self._asking.get(user_id)
        if asking is None:
            asking = self._asking[user_id] = asyncio.create_task(self._look_up(user_id))
            asking.add_done_callback(lambda _: self._asking.pop(user_id, None))
        try:
            return await asyncio.wait_for(asyncio.shield(asking), self._patience)
        except TimeoutError:
            log.warning("users.info takes long for %s", user_id)
            return self._stranger(user_id)

    async def team(self, user_id: str) -> str:
        """The workspace that a person is of; empty where Slack does not tell."""
        if user_id not in self._teams:
            await self._look_up(user_id)
        return self._teams.get(user_id, "")

    async def close(self) -> None:
        """Give up what is still being looked up."""
        pending = list(self._asking.values())
        for asking in pending:
            asking.cancel()
        await asyncio.gather(*pending, return_exceptions=True)

    async def _look_up(self, user_id: str) -> Author:
        try:
            found = await self._client.users_info(user=user_id)
        except (ParleyError, SlackClientError, aiohttp.ClientError, TimeoutError, OSError) as error:
            log.warning("users.info failed for %s: %s", user_id, type(error).__name__)
            return self._stranger(user_id)
        user = found.get("user") or {}
        author = self._read(user_id, user)
        self._teams[user_id] = str(user.get("team_id") or "")
        self._known[user_id] = (self._clock(), author)
        return author

    def _stranger(self, user_id: str) -> Author:
        """A person Slack does not tell of right now: by the name last known, and with no rights but the appointed."""
        known = self._known.get(user_id)
        return Author(user_id, known[1].name if known else user_id, self._is_appointed(user_id))

    def _read(self, user_id: str, user: dict[str, object]) -> Author:
        profile = user.get("profile")
        shown = profile.get("display_name") if isinstance(profile, dict) else ""
        name = str(shown or user.get("real_name") or user.get("name") or user_id)
        runs = any(user.get(flag) is True for flag in ("is_admin", "is_owner", "is_primary_owner"))
        return Author(user_id, name, runs or self._is_appointed(user_id))

    def _is_appointed(self, user_id: str) -> bool:
        return bool(self._admins & {user_id, f"slack:{user_id}"})
