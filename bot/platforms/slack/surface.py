"""A thread in Slack as the place where one reply appears."""

from __future__ import annotations

import re

from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.errors import MessageGone, SurfaceError
from bot.platforms.slack import failures, render
from bot.platforms.slack.around import Around
from bot.types import Above, Attached, Limits, Part, Turn

LIMITS = Limits(message_chars=11_000, edit_interval=1.2, edits_per_minute=50)
"""The ``markdown`` block takes 12,000 characters, of which some count as two; ``chat.update`` 50 calls a minute."""


PAGE, PAGES = 100, 5
"""Messages of a thread that are looked through for a post of which nobody knows whether it went through."""


class SlackSurface:
    """Posts into a thread and edits what it posted. Its client must not retry 429 itself: the display paces."""

    limits = LIMITS

    def __init__(
        self,
        client: AsyncWebClient,
        channel_id: str,
        thread_ts: str,
        *,
        since: str = "",
        around: Around | None = None,
    ) -> None:
        self._client = client
        self._channel = channel_id
        self._thread = thread_ts
        self._since = since
        self._around = around

    async def post(self, part: Part) -> str:
        """Post into the thread; the reference is the message's ``ts``."""
        with failures.translated():
            posted = await self._client.chat_postMessage(
                channel=self._channel,
                thread_ts=self._thread or None,
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

    async def find(self, nonce: str) -> str | None:
        """Look through the thread for the message that carries the nonce; None too where the app may not read it."""
        if not self._thread:
            return None
        cursor = ""
        for _ in range(PAGES):
            try:
                with failures.translated():
                    page = await self._client.conversations_replies(
                        channel=self._channel,
                        ts=self._thread,
                        oldest=self._since or "0",
                        include_all_metadata=True,
                        limit=PAGE,
                        cursor=cursor or None,
                    )
            except MessageGone:
                return None
            for message in page.get("messages") or []:
                if render.nonce_of(message) == nonce:
                    return str(message["ts"])
            cursor = str((page.get("response_metadata") or {}).get("next_cursor") or "")
            if not cursor:
                return None
        return None

    async def hand_over(self, name: str, data: bytes) -> None:
        """Upload a file into the thread."""
        with failures.translated():
            await self._client.files_upload_v2(
                channel=self._channel, thread_ts=self._thread or None, filename=name, title=name, content=data
            )

    async def fetch(self, file: Attached) -> bytes:
        """The bytes of a file that was attached to the question."""
        if self._around is None:
            raise SurfaceError("files cannot be read here")
        return await self._around.fetch(file)

    async def above(self) -> Above | None:
        """The thread above the question; None where the question begins it."""
        if self._around is None or not self._since or self._since == self._thread:
            return None
        return await self._around.above(self._channel, self._thread, self._since)


class DirectSurface(SlackSurface):
    """The asker's direct message: where a private question's answer goes when the command that waited for it is gone.

    References that are no ``ts`` stem from the place that the answer was first meant for; editing one posts here.
    """

    def __init__(self, client: AsyncWebClient, user_id: str) -> None:
        super().__init__(client, "", "")
        self._user = user_id
        self._moved: dict[str, str] = {}

    async def post(self, part: Part) -> str:
        """Open the direct message, and post."""
        if not self._channel:
            with failures.translated():
                opened = await self._client.conversations_open(users=self._user)
            self._channel = str((opened.get("channel") or {}).get("id"))
        return await super().post(part)

    async def edit(self, ref: str, part: Part) -> None:
        """Make the message read as ``part`` says, here."""
        if self._channel and (_is_ts(ref) or ref in self._moved):
            await super().edit(self._moved.get(ref, ref), part)
        else:
            self._moved[ref] = await self.post(part)

    async def delete(self, ref: str) -> None:
        """Take away what was posted here."""
        if self._channel and (_is_ts(ref) or ref in self._moved):
            await super().delete(self._moved.get(ref, ref))


def surface_of(client: AsyncWebClient, turn: Turn, around: Around | None = None) -> SlackSurface:
    """Where the reply to a stored turn goes: its thread, or the asker's DM where it never had one."""
    if _is_ts(turn.thread.thread_id):
        asked = turn.message_id.partition(":")[0]
        since = asked if _is_ts(asked) else ""
        return SlackSurface(client, turn.thread.channel_id, turn.thread.thread_id, since=since, around=around)
    return DirectSurface(client, turn.author.id)


def _is_ts(text: str) -> bool:
    return re.fullmatch(r"\d+\.\d+", text) is not None
