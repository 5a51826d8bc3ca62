"""Looks up Slack users: display name, workspace, and whether they administer the workspace."""

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

CACHE_SECONDS = 600.0
LOOKUP_TIMEOUT_SECONDS = 1.5
"""A lookup runs before the acknowledgment, which Slack expects within 3 seconds."""


class UserDirectory:
    """Looks up users and caches them for ten minutes.

    A user who cannot be looked up is an admin only if the settings name them.
    """

    def __init__(
        self,
        client: AsyncWebClient,
        admins: Collection[str],
        *,
        clock: Callable[[], float] = time.monotonic,
        timeout: float = LOOKUP_TIMEOUT_SECONDS,
    ) -> None:
        self._client = client
        self._admins = frozenset(admins)
        self._clock = clock
        self._timeout = timeout
        self._teams: dict[str, str] = {}
        self._cache: dict[str, tuple[float, Author]] = {}
        self._lookups: dict[str, asyncio.Task[Author]] = {}

    async def author(self, user_id: str) -> Author:
        """Return the user as an author. Never raises for Slack errors.

        Concurrent callers share one lookup. It continues in the background after a caller times out.
        """
        cached = self._cache.get(user_id)
        if cached and self._clock() - cached[0] < CACHE_SECONDS:
            return cached[1]
        lookup = self._lookups.get(user_id)
        if lookup is None:
            lookup = self._lookups[user_id] = asyncio.create_task(self._look_up(user_id))
            lookup.add_done_callback(lambda _: self._lookups.pop(user_id, None))
        try:
            return await asyncio.wait_for(asyncio.shield(lookup), self._timeout)
        except TimeoutError:
            log.warning("users.info is slow for %s", user_id)
            return self._unverified_author(user_id)

    async def team(self, user_id: str) -> str:
        """Return the workspace ID of a user; empty if Slack does not report it."""
        if user_id not in self._teams:
            await self._look_up(user_id)
        return self._teams.get(user_id, "")

    async def close(self) -> None:
        """Cancel the lookups in progress."""
        pending = list(self._lookups.values())
        for lookup in pending:
            lookup.cancel()
        await asyncio.gather(*pending, return_exceptions=True)

    async def _look_up(self, user_id: str) -> Author:
        try:
            response = await self._client.users_info(user=user_id)
        except (ParleyError, SlackClientError, aiohttp.ClientError, TimeoutError, OSError) as error:
            log.warning("users.info failed for %s: %s", user_id, type(error).__name__)
            return self._unverified_author(user_id)
        user = response.get("user") or {}
        author = self._author_from(user_id, user)
        self._teams[user_id] = str(user.get("team_id") or "")
        self._cache[user_id] = (self._clock(), author)
        return author

    def _unverified_author(self, user_id: str) -> Author:
        """Return an author with the last cached name, who is an admin only if the settings say so."""
        cached = self._cache.get(user_id)
        return Author(user_id, cached[1].name if cached else user_id, self._is_configured_admin(user_id))

    def _author_from(self, user_id: str, user: dict[str, object]) -> Author:
        profile = user.get("profile")
        display_name = profile.get("display_name") if isinstance(profile, dict) else ""
        name = str(display_name or user.get("real_name") or user.get("name") or user_id)
        is_workspace_admin = any(user.get(flag) is True for flag in ("is_admin", "is_owner", "is_primary_owner"))
        return Author(user_id, name, is_workspace_admin or self._is_configured_admin(user_id))

    def _is_configured_admin(self, user_id: str) -> bool:
        return bool(self._admins & {user_id, f"slack:{user_id}"})
