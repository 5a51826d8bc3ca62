"""Resolves the people, groups and channels that Slack messages mention by ID to names, and caches them."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import aiohttp
from slack_sdk.errors import SlackClientError
from slack_sdk.web.async_client import AsyncWebClient

from bot.errors import ParleyError
from bot.platforms.slack import message_text
from bot.platforms.slack.message_text import PRIVATE_CHANNEL, Names
from bot.platforms.slack.users import CACHE_SECONDS, LOOKUP_TIMEOUT_SECONDS, UserDirectory
from bot.types.bounded_mapping import RecentEntries

T = TypeVar("T")

log = logging.getLogger(__name__)

MAX_LOOKUPS = 20
"""People and channels of one text that are looked up; the others keep their IDs."""


class NameDirectory:
    """Looks up names for texts. Whatever cannot be looked up within ``timeout`` seconds keeps its ID."""

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
        self._groups: tuple[float, Mapping[str, str]] | None = None
        self._groups_lock = asyncio.Lock()
        self._channels: RecentEntries[str, tuple[float, str]] = RecentEntries()

    async def readable(self, raw: str, bot_user_id: str = "") -> str:
        """Return a text in Slack's markup as people read it, with names, without the bot's own mention."""
        return message_text.plain_text(raw, bot_user_id, names=await self.names_in(raw))

    async def names_in(self, raw: str) -> Names:
        """Return the names of all that a text mentions. Never raises for Slack errors."""
        wanted = message_text.mentioned(raw)
        users, channels = wanted.users[:MAX_LOOKUPS], wanted.channels[:MAX_LOOKUPS]
        authors = asyncio.gather(*map(self._users.author, users))
        names = asyncio.gather(*map(self._channel, channels))
        groups = self._in_time(self._group_names(), {}) if wanted.groups else _nothing()
        found, named, by_group = await asyncio.gather(authors, names, groups)
        return Names({author.id: author.name for author in found}, by_group, dict(zip(channels, named, strict=True)))

    async def _group_names(self) -> Mapping[str, str]:
        """Return the handles of all groups. They are cached for ten minutes, and so is that Slack does not tell."""
        async with self._groups_lock:
            if self._groups is None or self._clock() - self._groups[0] >= CACHE_SECONDS:
                self._groups = (self._clock(), await self._read_groups())
            return self._groups[1]

    async def _read_groups(self) -> Mapping[str, str]:
        page = await self._answer(self._client.usergroups_list(), "usergroups.list")
        groups = page.get("usergroups") or ()
        return {str(group.get("id")): str(group.get("handle") or group.get("name") or "") for group in groups}

    async def _channel(self, channel_id: str) -> str:
        """Return the name of a public channel; empty if Slack does not tell it."""
        cached = self._channels.get(channel_id)
        if cached is None or self._clock() - cached[0] >= CACHE_SECONDS:
            cached = (self._clock(), await self._in_time(self._read_channel(channel_id), ""))
            self._channels[channel_id] = cached
        return cached[1]

    async def _read_channel(self, channel_id: str) -> str:
        page = await self._answer(self._client.conversations_info(channel=channel_id), "conversations.info")
        channel = page.get("channel") or {}
        is_public = channel.get("is_channel") and not channel.get("is_private")
        # Readers of the answer need not be in a private channel, and Slack hides its name from them, too.
        return str(channel.get("name") or "") if is_public else PRIVATE_CHANNEL if channel else ""

    async def _answer(self, call: Awaitable[Any], method: str) -> Mapping[str, Any]:
        """Return Slack's response; an empty one if the call fails."""
        try:
            response: Mapping[str, Any] = (await call).data
        except (ParleyError, SlackClientError, aiohttp.ClientError, TimeoutError, OSError) as error:
            log.info("%s failed, so IDs stay: %s", method, type(error).__name__)
            return {}
        return response

    async def _in_time(self, lookup: Awaitable[T], otherwise: T) -> T:
        try:
            return await asyncio.wait_for(lookup, self._timeout)
        except TimeoutError:
            return otherwise


async def _nothing() -> Mapping[str, str]:
    return {}
