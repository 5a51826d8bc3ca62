"""Finds out who reads a Slack channel: members of the team alone, or also guests and people of other organizations."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

import aiohttp
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.web.async_client import AsyncWebClient

from bot.errors import ParleyError
from bot.platforms.slack import errors, payloads
from bot.platforms.slack.users import LOOKUP_TIMEOUT_SECONDS, UserDirectory
from bot.types.audience import Audience, Readers, decide
from bot.types.bounded_mapping import RecentEntries
from bot.types.conversation import Author

log = logging.getLogger(__name__)

CACHE_SECONDS = 300.0
"""How long the readers of a channel are cached. ``conversations.info`` allows 50 calls a minute."""
PAGE_SIZE = 1000
_NOT_SEEN = frozenset({"channel_not_found", "not_in_channel"})


class ChannelReaders:
    """Looks up who reads a channel and caches it for five minutes. What cannot be checked is unknown."""

    def __init__(
        self,
        client: AsyncWebClient,
        users: UserDirectory,
        *,
        clock: Callable[[], float] = time.monotonic,
        timeout: float = LOOKUP_TIMEOUT_SECONDS,
    ) -> None:
        self._client = client
        self._users = users
        self._clock = clock
        self._timeout = timeout
        self._cache: RecentEntries[str, tuple[float, Readers]] = RecentEntries()
        self._lookups: dict[str, asyncio.Task[Readers | None]] = {}

    async def asker(self, user_id: str, channel_id: str, *, shared: bool = False) -> tuple[Author, Audience]:
        """Return a user, and who reads an answer to them in the channel. Never raises for Slack errors.

        ``shared``: the event itself shows that the channel is shared with another organization.
        """
        if shared:
            self._cache[channel_id] = (self._clock(), "shared")
        if channel_id.startswith("D"):
            author = await self._users.author(user_id)
            return author, decide(author.standing, "members", direct=True)
        author, readers = await asyncio.gather(self._users.author(user_id), self._readers(channel_id))
        return author, decide(author.standing, readers or "unknown")

    async def of_private_reply(self, author: Author, channel_id: str) -> Audience:
        """Return who reads a reply that only the user sees, but that belongs to the channel.

        Slash commands also work where the bot is not: nobody but the user reads the reply there.
        """
        if channel_id.startswith("D"):
            return decide(author.standing, "members", direct=True)
        return decide(author.standing, await self._readers(channel_id) or "members")

    async def of_shared_reply(self, author: Author, channel_id: str) -> Audience:
        """Return who reads a reply that the user shares with everybody in the channel or direct message."""
        return decide(author.standing, await self._readers(channel_id) or "unknown")

    async def of_channel(self, channel_id: str) -> Audience:
        """Return who reads what the bot posts to the channel by itself. Never raises for Slack errors."""
        return Audience(await self._readers(channel_id) or "unknown")

    async def close(self) -> None:
        """Cancel the lookups in progress."""
        pending = list(self._lookups.values())
        for lookup in pending:
            lookup.cancel()
        await asyncio.gather(*pending, return_exceptions=True)

    async def _readers(self, channel_id: str) -> Readers | None:
        """Return who reads the channel; None if the bot cannot see it.

        Concurrent callers share one lookup. It continues in the background after a caller times out.
        """
        cached = self._cache.get(channel_id)
        if cached and self._clock() - cached[0] < CACHE_SECONDS:
            return cached[1]
        lookup = self._lookups.get(channel_id)
        if lookup is None:
            lookup = self._lookups[channel_id] = asyncio.create_task(self._look_up(channel_id))
            lookup.add_done_callback(lambda _: self._lookups.pop(channel_id, None))
        try:
            return await asyncio.wait_for(asyncio.shield(lookup), self._timeout)
        except TimeoutError:
            log.warning("Slack is slow to say who reads the channel %s", channel_id)
            return "unknown"

    async def _look_up(self, channel_id: str) -> Readers | None:
        """Ask Slack and cache the answer. What an event has shown in the meantime is newer, so it stays."""
        before = self._cache.get(channel_id)
        try:
            readers = await self._read(channel_id)
        except SlackApiError as error:
            code = errors.code(error)
            if code in _NOT_SEEN:
                return None
            log.warning("Slack did not say who reads the channel %s: %s", channel_id, code)
            return "unknown"
        except (ParleyError, SlackClientError, aiohttp.ClientError, TimeoutError, OSError) as error:
            log.warning("Slack did not say who reads the channel %s: %s", channel_id, type(error).__name__)
            return "unknown"
        cached = self._cache.get(channel_id)
        if cached is not None and cached is not before:
            return cached[1]
        self._cache[channel_id] = (self._clock(), readers)
        return readers

    async def _read(self, channel_id: str) -> Readers:
        response = await self._client.conversations_info(channel=channel_id)
        if is_shared(response.get("channel") or {}):
            return "shared"
        guests = await self._users.guests()
        return "guests" if guests and await self._has_any(channel_id, guests) else "members"

    async def _has_any(self, channel_id: str, people: frozenset[str]) -> bool:
        cursor = ""
        while True:
            page = await self._client.conversations_members(channel=channel_id, limit=PAGE_SIZE, cursor=cursor or None)
            if not people.isdisjoint(page.get("members") or ()):
                return True
            cursor = payloads.next_cursor(page)
            if not cursor:
                return False


def is_shared(channel: Mapping[str, Any]) -> bool:
    """Return whether people of another workspace read the channel, or are invited to."""
    flags = ("is_ext_shared", "is_pending_ext_shared", "is_shared", "is_org_shared")
    lists = ("pending_shared", "pending_connected_team_ids")
    return any(channel.get(name) for name in (*flags, *lists))
