"""Finds the messages of a reply in its thread by their nonces, and removes a message that was posted twice."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing

from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.errors import SurfaceError
from bot.platforms.slack import errors, payloads, render

log = logging.getLogger(__name__)

PAGE_SIZE, MAX_PAGES = 100, 5
"""How many messages of a thread are searched for a post whose outcome is unknown."""


class ThreadSearch:
    """Searches the messages of a thread after ``since``; an empty ``thread_ts`` is a place without a thread.

    A post of a process that died can reach Slack after it was searched for. So each nonce that was not found is
    searched again once its message has its final text.
    """

    def __init__(self, client: AsyncWebClient, channel_id: str, thread_ts: str, since: str) -> None:
        self._client = client
        self._channel = channel_id
        self._thread_ts = thread_ts
        self._since = since
        self._missed: set[str] = set()

    async def find(self, nonce: str) -> str | None:
        """Return the ``ts`` of the message with the nonce; None if not found or if the app may not read the thread.

        Raises SurfaceError.
        """
        async with aclosing(self._with_nonce(nonce)) as found:
            async for ts in found:
                return ts
        self._missed.add(nonce)
        return None

    async def remove_copies(self, nonce: str, ref: str, delete: Callable[[str], Awaitable[None]]) -> None:
        """Delete other messages with a nonce that ``find`` did not find. Never raises SurfaceError."""
        if nonce not in self._missed:
            return
        self._missed.discard(nonce)
        try:
            for copy in [ts async for ts in self._with_nonce(nonce) if ts != ref]:
                log.warning("Slack: message %s was posted twice, by a process that died; %s is deleted", ref, copy)
                await delete(copy)
        except SurfaceError as error:
            log.warning("Slack: a copy of message %s may be left: %s", ref, error)

    async def _with_nonce(self, nonce: str) -> AsyncGenerator[str, None]:
        cursor = ""
        for _ in range(MAX_PAGES if self._thread_ts else 0):
            try:
                with errors.reached():
                    page = await self._client.conversations_replies(
                        channel=self._channel,
                        ts=self._thread_ts,
                        oldest=self._since or "0",
                        include_all_metadata=True,
                        limit=PAGE_SIZE,
                        cursor=cursor or None,
                    )
            except SlackApiError as error:
                if errors.retry_after(error) is not None or errors.is_uncertain(error):
                    raise errors.surface_error(error) from error
                return
            for message in page.get("messages") or []:
                if render.nonce_of(message) == nonce:
                    yield str(message["ts"])
            cursor = payloads.next_cursor(page)
            if not cursor:
                return
