"""A thread in Slack as the place where one reply appears."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from dataclasses import replace

from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.errors import MessageGone, RateLimited, SurfaceError
from bot.platforms.slack import errors, native_streams, render
from bot.platforms.slack.native_streams import Open, Streams
from bot.platforms.slack.thread_context import ThreadContext
from bot.types.conversation import StoredAttachment, ThreadAbove
from bot.types.display import Limits, Part
from bot.types.turns import Turn

log = logging.getLogger(__name__)

LIMITS = Limits(message_chars=11_000, edit_interval=1.2, edits_per_minute=50)
"""The ``markdown`` block takes 12,000 characters, of which some count as two; ``chat.update`` 50 calls a minute."""


APPEND_SECONDS = 0.6
"""``chat.appendStream`` takes 100 calls a minute."""

PAGE, PAGES = 100, 5
"""Messages of a thread that are looked through for a post of which nobody knows whether it went through."""


class SlackSurface:
    """Posts into a thread and changes what it posted. Its client must not retry by itself: the display does.

    With ``native`` a draft grows as one of Slack's streams, for ``asker`` to watch; it goes over to edits of the same
    message as soon as the stream ends, breaks, or cannot show what is to be shown.
    """

    def __init__(
        self,
        client: AsyncWebClient,
        channel_id: str,
        thread_ts: str,
        *,
        since: str = "",
        around: ThreadContext | None = None,
        native: Streams | None = None,
        asker: str = "",
        limits: Limits | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._channel = channel_id
        self._thread = thread_ts
        self._since = since
        self._around = around
        self._native = native if thread_ts and asker else None
        self._asker = asker
        self._monotonic = monotonic
        self._open: dict[str, Open] = {}
        self._limits = replace(limits or LIMITS, appends=self._native is not None)

    @property
    def limits(self) -> Limits:
        """What Slack allows just now: a stream may be appended to more often than a message may be edited."""
        often = min(APPEND_SECONDS, self._limits.edit_interval)
        return replace(self._limits, edit_interval=often) if self._open else self._limits

    async def post(self, part: Part) -> str:
        """Post into the thread; the reference is the message's ``ts``."""
        if part.settled is not None and not part.final and (streamed := await self._start(part)):
            return streamed
        with errors.translated():
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
        """Make the message read as ``part`` says: by appending to its stream, else by an edit."""
        if ref in self._open and await self._append(ref, part):
            return
        if ref in self._open:
            await self._stop(ref, part)
        try:
            await self._update(ref, part)
        except SlackApiError as error:
            if errors.code(error) not in native_streams.OPEN:
                raise errors.surface_error(error) from error
            await self._stop(ref, part)
            with errors.translated():
                await self._update(ref, part)

    async def _update(self, ref: str, part: Part) -> None:
        with errors.reached():
            await self._client.chat_update(channel=self._channel, ts=ref, **render.message(part))

    async def delete(self, ref: str) -> None:
        """Take the message away; one that is already gone is fine."""
        if ref in self._open:
            await self._stop(ref)
        try:
            await self._remove(ref)
        except SlackApiError as error:
            if errors.code(error) not in native_streams.OPEN:
                raise errors.surface_error(error) from error
            await self._stop(ref)
            with errors.translated():
                await self._remove(ref)

    async def _remove(self, ref: str) -> None:
        try:
            with errors.reached():
                await self._client.chat_delete(channel=self._channel, ts=ref)
        except SlackApiError as error:
            if not isinstance(errors.surface_error(error), MessageGone):
                raise

    # --- streams

    async def _start(self, part: Part) -> str | None:
        """Start a stream; None where there is none to be had, so that the part is posted."""
        native, now = self._native, self._monotonic()
        if native is None or not native.allow(self._channel, now):
            return None
        try:
            with errors.reached():
                started = await self._client.chat_startStream(
                    channel=self._channel,
                    thread_ts=self._thread,
                    chunks=render.opening(part),
                    **await native.recipient(self._channel, self._asker),
                )
        except SurfaceError:
            native.refused("unknown", self._channel, now, native_streams.PAUSE)
            raise
        except SlackApiError as error:
            if errors.is_uncertain(error):
                native.refused("unknown", self._channel, now, native_streams.PAUSE)
                raise errors.surface_error(error) from error
            code, seconds = errors.code(error), errors.retry_after(error)
            if native.refused(code, self._channel, now, seconds):
                log.info("Slack has no streams in %s (%s): answers are edited there", self._channel, code)
            return None
        ts = started.get("ts")
        if not isinstance(ts, str):
            native.refused("no ts", self._channel, now)
            return None
        self._open[ts] = native_streams.opened(part, now)
        return ts

    async def _append(self, ref: str, part: Part) -> bool:
        """Let the stream grow; False where it is over, or cannot show the part."""
        stream = self._open[ref]
        chunks = stream.more(part, self._monotonic())
        if chunks is None:
            return False
        try:
            if chunks:
                stream.doubtful = True
                with errors.reached():
                    await self._client.chat_appendStream(channel=self._channel, ts=ref, chunks=chunks)
        except SlackApiError as error:
            translated = errors.surface_error(error)
            if errors.code(error) in native_streams.ENDED:
                del self._open[ref]
                return False
            if isinstance(translated, RateLimited | MessageGone):
                stream.doubtful = False
                raise translated from error
            return False
        stream.doubtful = False
        stream.took(part)
        return True

    async def _stop(self, ref: str, part: Part | None = None) -> None:
        """End the stream of a message, with the end of its text where it is known; one that is over is fine."""
        stream = self._open.get(ref)
        chunks = stream.rest(part) if stream and part else []
        named = render.metadata(part) if part else None
        before = stream is not None and stream.doubtful
        if stream is not None and chunks:
            stream.doubtful = True
        try:
            with errors.reached():
                await self._client.chat_stopStream(channel=self._channel, ts=ref, chunks=chunks or None, metadata=named)
        except SlackApiError as error:
            translated = errors.surface_error(error)
            if isinstance(translated, RateLimited) and stream is not None:
                stream.doubtful = before
            if isinstance(translated, RateLimited | MessageGone) or errors.is_uncertain(error):
                raise translated from error
            if chunks and errors.code(error) not in native_streams.ENDED:
                await self._stop(ref, part)
        self._open.pop(ref, None)

    async def find(self, nonce: str) -> str | None:
        """Look through the thread for the message that carries the nonce; None too where the app may not read it."""
        if not self._thread:
            return None
        cursor = ""
        for _ in range(PAGES):
            try:
                with errors.reached():
                    page = await self._client.conversations_replies(
                        channel=self._channel,
                        ts=self._thread,
                        oldest=self._since or "0",
                        include_all_metadata=True,
                        limit=PAGE,
                        cursor=cursor or None,
                    )
            except SlackApiError as error:
                if errors.retry_after(error) is not None or errors.is_uncertain(error):
                    raise errors.surface_error(error) from error
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
        with errors.translated():
            await self._client.files_upload_v2(
                channel=self._channel, thread_ts=self._thread or None, filename=name, title=name, content=data
            )

    async def fetch(self, file: StoredAttachment) -> bytes:
        """The bytes of a file that was attached to the question."""
        if self._around is None:
            raise SurfaceError("files cannot be read here")
        return await self._around.fetch(file)

    async def above(self) -> ThreadAbove | None:
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
            with errors.translated():
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


def surface_of(
    client: AsyncWebClient, turn: Turn, around: ThreadContext | None = None, native: Streams | None = None
) -> SlackSurface:
    """Where the reply to a stored turn goes: its thread, or the asker's DM where it never had one."""
    thread, asker = turn.thread, turn.author.id
    if _is_ts(thread.thread_id):
        asked = turn.message_id.partition(":")[0]
        since = asked if _is_ts(asked) else ""
        return SlackSurface(
            client, thread.channel_id, thread.thread_id, since=since, around=around, native=native, asker=asker
        )
    return DirectSurface(client, asker)


def _is_ts(text: str) -> bool:
    return re.fullmatch(r"\d+\.\d+", text) is not None
