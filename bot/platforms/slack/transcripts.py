"""Reads the messages of a Slack thread, or of the last day of a channel, with their links."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from slack_sdk.errors import SlackApiError

from bot.errors import UsageError
from bot.platforms.slack import errors, payloads, user_messages
from bot.platforms.slack.thread_context import TIMEOUT_SECONDS, ThreadContext
from bot.types.conversation import ChatMessage, Extent

DAY = timedelta(hours=24)
PAGE_SIZE = 200
MAX_MESSAGES = 400
"""The most messages of a day that are read, the newest."""
UNTIL_NOW = "9999999999.999999"
"""A ``ts`` after every message."""


class PlaceTranscripts:
    """The ``TranscriptReader`` of one place: the messages before ``before``."""

    def __init__(self, context: ThreadContext, channel_id: str, thread_ts: str, before: str = UNTIL_NOW) -> None:
        self._context = context
        self._channel = channel_id
        self._thread_ts = thread_ts
        self._before = before

    async def transcript(self, extent: Extent) -> Sequence[ChatMessage]:
        """Return the messages of people and other bots, oldest first. Raises UsageError, SurfaceError, TimeoutError."""
        async with asyncio.timeout(TIMEOUT_SECONDS):
            try:
                with errors.reached():
                    found = [one async for one in self._messages(extent)]
                    base = await self._base_of_links(found[0]["ts"]) if found else ""
            except SlackApiError as error:
                if errors.code(error) == "not_in_channel":
                    raise UsageError(user_messages.INVITE_ME) from None
                raise errors.surface_error(error) from error
            return [await self._read(message, base) for message in sorted(found, key=lambda one: float(one["ts"]))]

    async def _messages(self, extent: Extent) -> AsyncIterator[Mapping[str, Any]]:
        source = self._context.thread(self._channel, self._thread_ts, self._before)
        async for message in source if extent == "thread" else self._last_day():
            if await self._context.is_context(message, self._before):
                yield message

    async def _last_day(self) -> AsyncIterator[Mapping[str, Any]]:
        """Yield the messages of the channel, newest first, without replies in threads."""
        before = min(float(self._before), datetime.now(UTC).timestamp() + 1)
        cursor, count = "", 0
        while count < MAX_MESSAGES:
            page = await self._context.client.conversations_history(
                channel=self._channel,
                oldest=f"{before - DAY.total_seconds():.6f}",
                latest=f"{before:.6f}",
                limit=PAGE_SIZE,
                cursor=cursor or None,
            )
            for message in page.get("messages") or ():
                count += 1
                yield message
            cursor = payloads.next_cursor(page)
            if not cursor:
                return

    async def _base_of_links(self, ts: str) -> str:
        """Return what the links of all messages of the channel begin with."""
        found = await self._context.client.chat_getPermalink(channel=self._channel, message_ts=ts)
        return str(found.get("permalink") or "").partition("?")[0].rpartition("/p")[0]

    async def _read(self, message: Mapping[str, Any], base: str) -> ChatMessage:
        ts, thread_ts = str(message["ts"]), str(message.get("thread_ts") or "")
        in_thread = f"?thread_ts={thread_ts}&cid={self._channel}" if thread_ts and thread_ts != ts else ""
        return ChatMessage(
            author=await self._context.author_name(message),
            author_id=str(message.get("user") or ""),
            text=await self._context.text(message),
            at=datetime.fromtimestamp(float(ts), UTC),
            link=f"{base}/p{ts.replace('.', '')}{in_thread}",
        )
