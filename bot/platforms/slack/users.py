"""Looks up Slack users: display name, workspace, and whether they are members, guests or admins of this workspace."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from typing import Any

import aiohttp
from slack_sdk.errors import SlackClientError
from slack_sdk.web.async_client import AsyncWebClient

from bot.errors import ParleyError
from bot.platforms.slack import payloads
from bot.platforms.slack.payloads import BotUser
from bot.types.audience import Standing
from bot.types.bounded_mapping import RecentEntries
from bot.types.conversation import Author

log = logging.getLogger(__name__)

CACHE_SECONDS = 600.0
LOOKUP_TIMEOUT_SECONDS = 1.5
"""A lookup runs before the acknowledgment, which Slack expects within 3 seconds."""
PAGE_SIZE = 1000
"""Users in a page of ``users.list``; Slack's maximum."""


class UserDirectory:
    """Looks up users and caches them for ten minutes.

    A user who cannot be looked up is an admin only if the settings name them. ``bot_user`` returns the bot's identity,
    whose workspace the users are compared with.
    """

    def __init__(
        self,
        client: AsyncWebClient,
        admins: Collection[str],
        bot_user: Callable[[], Awaitable[BotUser]],
        *,
        clock: Callable[[], float] = time.monotonic,
        timeout: float = LOOKUP_TIMEOUT_SECONDS,
    ) -> None:
        self._client = client
        self._admins = frozenset(admins)
        self._bot_user = bot_user
        self._clock = clock
        self._timeout = timeout
        self._guests: tuple[float, frozenset[str]] | None = None
        self._guests_lock = asyncio.Lock()
        self._teams: RecentEntries[str, str] = RecentEntries()
        self._cache: RecentEntries[str, tuple[float, Author]] = RecentEntries()
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

    async def guests(self) -> frozenset[str]:
        """Return the IDs of all users who are no full members. Raises SlackClientError, ParleyError, OSError.

        The list is cached for ten minutes.
        """
        async with self._guests_lock:
            if self._guests is None or self._clock() - self._guests[0] >= CACHE_SECONDS:
                self._guests = (self._clock(), await self._read_guests())
            return self._guests[1]

    async def _read_guests(self) -> frozenset[str]:
        bot = await self._bot_user()
        return frozenset(
            [
                str(user.get("id"))
                async for user in self._every_user()
                if not user.get("is_bot") and not user.get("deleted") and standing(user, bot) != "member"
            ]
        )

    async def admins(self) -> list[str]:
        """Return the IDs of the people who administer the workspace. Raises SlackClientError, ParleyError, OSError."""
        bot = await self._bot_user()
        return [str(user.get("id")) async for user in self._every_user() if _is_admin_member(user, bot)]

    async def _every_user(self) -> AsyncIterator[dict[str, Any]]:
        cursor = ""
        while True:
            page = await self._client.users_list(limit=PAGE_SIZE, cursor=cursor or None)
            for user in page.get("members") or ():
                yield user
            cursor = payloads.next_cursor(page)
            if not cursor:
                return

    async def close(self) -> None:
        """Cancel the lookups in progress."""
        pending = list(self._lookups.values())
        for lookup in pending:
            lookup.cancel()
        await asyncio.gather(*pending, return_exceptions=True)

    async def _look_up(self, user_id: str) -> Author:
        try:
            response = await self._client.users_info(user=user_id)
            bot = await self._bot_user()
        except (ParleyError, SlackClientError, aiohttp.ClientError, TimeoutError, OSError) as error:
            log.warning("users.info failed for %s: %s", user_id, type(error).__name__)
            return self._unverified_author(user_id)
        user = response.get("user") or {}
        author = self._author_from(user_id, user, bot)
        self._teams[user_id] = str(user.get("team_id") or "")
        self._cache[user_id] = (self._clock(), author)
        return author

    def _unverified_author(self, user_id: str) -> Author:
        """Return an author with the last cached name, who is an admin only if the settings say so."""
        cached = self._cache.get(user_id)
        name = cached[1].name if cached else user_id
        return Author(user_id, name, self._is_configured_admin(user_id), standing="unknown")

    def _author_from(self, user_id: str, user: dict[str, Any], bot: BotUser) -> Author:
        profile = user.get("profile")
        display_name = profile.get("display_name") if isinstance(profile, dict) else ""
        name = str(display_name or user.get("real_name") or user.get("name") or user_id)
        person = standing(user, bot)
        is_admin = _is_workspace_admin(user, bot) or self._is_configured_admin(user_id)
        return Author(user_id, name, is_admin and person == "member", standing=person)

    def _is_configured_admin(self, user_id: str) -> bool:
        return bool(self._admins & {user_id, f"slack:{user_id}"})


def standing(user: Mapping[str, Any], bot: BotUser) -> Standing:
    """Return what a user, as ``users.info`` describes them, is in the bot's workspace or organization."""
    if user.get("deleted") or user.get("is_stranger") or not _is_of_workspace(user, bot):
        return "outsider"
    is_guest = user.get("is_restricted") or user.get("is_ultra_restricted")
    return "guest" if is_guest else "member"


def _is_of_workspace(user: Mapping[str, Any], bot: BotUser) -> bool:
    enterprise = user.get("enterprise_user") or {}
    if bot.team_id:
        return user.get("team_id") == bot.team_id or bot.team_id in (enterprise.get("teams") or ())
    return bool(bot.enterprise_id) and enterprise.get("enterprise_id") == bot.enterprise_id


def _is_admin_member(user: Mapping[str, Any], bot: BotUser) -> bool:
    return not user.get("is_bot") and standing(user, bot) == "member" and _is_workspace_admin(user, bot)


def _is_workspace_admin(user: Mapping[str, Any], bot: BotUser) -> bool:
    """Return whether the user administers this workspace. The flags are those of the user's own workspace."""
    is_own = user.get("team_id") == bot.team_id or not bot.team_id
    return is_own and any(user.get(flag) is True for flag in ("is_admin", "is_owner", "is_primary_owner"))
