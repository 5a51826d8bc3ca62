"""A thread in Slack as the place where one reply appears."""

from __future__ import annotations

from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.errors import MessageGone, SurfaceError
from bot.platforms.slack import failures, render
from bot.types import Limits, Part, Turn

LIMITS = Limits(message_chars=11_000, edit_interval=1.2)
"""The ``markdown`` block takes 12,000 characters, of which some count as two; ``chat.update`` 50 calls a minute."""


class SlackSurface:
    """Posts into a thread and edits what it posted. Its client must not retry 429 itself: the display paces."""

    limits = LIMITS

    def __init__(self, client: AsyncWebClient, channel_id: str, thread_ts: str) -> None:
        self._client = client
        self._channel = channel_id
        self._thread = thread_ts

    @classmethod
    def of(cls, client: AsyncWebClient, turn: Turn) -> SlackSurface:
        """Where the reply to a stored turn goes."""
        return cls(client, turn.thread.channel_id, turn.thread.thread_id)

    async def post(self, part: Part) -> str:
        """Post into the thread; the reference is the message's ``ts``."""
        with failures.translated():
            posted = await self._client.chat_postMessage(
                channel=self._channel,
                thread_ts=self._thread,
                unfurl_links=False,
                unfurl_media=False,
                metadata=render.metadata(part),
                **render.message(part),
            )
        ts = posted.get("ts")
        if not isinstance(ts, str):
            raise SurfaceError("Slack took the message but did not say where it is; try again.")
        return ts

    async def edit(self, ref: str, part: Part) -> None:
        """Make the message read as ``part`` says."""
        with failures.translated():
            await self._client.chat_update(channel=self._channel, ts=ref, **render.message(part))

    async def delete(self, ref: str) -> None:
        """Take the message away; one that is already gone is fine."""
        try:
            await self._client.chat_delete(channel=self._channel, ts=ref)
        except SlackApiError as error:
            translated = failures.surface_error(error)
            if not isinstance(translated, MessageGone):
                raise translated from error
