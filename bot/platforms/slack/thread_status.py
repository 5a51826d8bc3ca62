"""Shows what the bot is doing in a Slack thread: ``assistant.threads.setStatus``.

Source: https://docs.slack.dev/reference/methods/assistant.threads.setStatus. Slack shows a status for two minutes, or
until the app posts into the thread.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.errors import RateLimited
from bot.platforms.slack import errors
from bot.types.bounded_mapping import RecentEntries

log = logging.getLogger(__name__)

STATUS_SECONDS = 100.0
"""How long a status is shown before it is sent again."""
REFUSAL_SECONDS = 3_600.0
"""Seconds until a channel whose threads take no status is tried again, because the app may have been reinstalled."""
PAUSE_SECONDS = 0.25
"""Pause between two statuses of this process. Slack takes ten a second from all processes of the app together."""


class ThreadStatus:
    """The statuses in one workspace, one after the other. A channel that takes none is left alone for an hour."""

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._sending = asyncio.Lock()
        self._free_at = float("-inf")
        self._refused_until: RecentEntries[str, float] = RecentEntries()
        self._limited_until = float("-inf")

    async def show(self, client: AsyncWebClient, channel_id: str, thread_ts: str, text: str) -> None:
        """Show a status; an empty text removes it. Raises RateLimited and PlatformAway, and for a refusal nothing."""
        async with self._sending:
            await asyncio.sleep(max(0.0, self._free_at - self._monotonic()))
            await self._send(client, channel_id, thread_ts, text)

    async def _send(self, client: AsyncWebClient, channel_id: str, thread_ts: str, text: str) -> None:
        now = self._monotonic()
        if now < self._limited_until or now < self._refused_until.get(channel_id, float("-inf")):
            return
        self._free_at = now + PAUSE_SECONDS
        try:
            with errors.reached():
                await client.assistant_threads_setStatus(channel_id=channel_id, thread_ts=thread_ts, status=text)
        except SlackApiError as error:
            refusal = errors.surface_error(error)
            if isinstance(refusal, RateLimited):
                self._limited_until = self._monotonic() + refusal.retry_after
                raise refusal from error
            if not errors.may_pass(error):
                self._refused_until[channel_id] = now + REFUSAL_SECONDS
                log.info("Slack shows no status in %s: %s", channel_id, errors.code(error))
