"""Posts, edits and streams one reply in a Slack thread or direct message."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.errors import MessageGone, RateLimited, SurfaceError
from bot.platforms.slack import errors, render, stream_policy, text_limits, user_messages
from bot.platforms.slack.duplicate_posts import ThreadSearch
from bot.platforms.slack.stream_policy import OpenStream, StreamPolicy
from bot.platforms.slack.thread_context import ThreadContext
from bot.platforms.slack.thread_status import STATUS_SECONDS, ThreadStatus
from bot.platforms.slack.transcripts import PlaceTranscripts
from bot.types.conversation import ChatMessage, Extent, StoredAttachment, ThreadAbove
from bot.types.display import Activity, Limits, Part

log = logging.getLogger(__name__)

LIMITS = Limits(message_chars=11_000, edit_interval=1.2, edits_per_minute=50, size=text_limits.size, max_blocks=36)
"""Slack allows 12,000 characters in a ``markdown`` block, some of which count as two, and 50 ``chat.update`` calls a
minute. A message renders at most 50 blocks, of which sources, notes and buttons take up to 13."""

APPEND_INTERVAL = 0.6
"""Seconds between two calls of ``chat.appendStream``, which Slack allows 100 times a minute."""


class SlackSurface:
    """Posts into a thread, and edits or deletes its posts. ``client`` must not retry, because the display retries.

    With ``streams``, a draft grows as a native Slack stream that ``asker`` sees. It continues as edits of the same
    message once the stream ends, fails, or cannot show the part.
    """

    def __init__(
        self,
        client: AsyncWebClient,
        channel_id: str,
        thread_ts: str,
        *,
        since: str = "",
        context: ThreadContext | None = None,
        streams: StreamPolicy | None = None,
        status: ThreadStatus | None = None,
        asker: str = "",
        limits: Limits | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._channel = channel_id
        self._thread_ts = thread_ts
        self._since = since
        self._search = ThreadSearch(client, channel_id, thread_ts, since)
        self._context = context
        self._streams = streams if thread_ts and asker else None
        self._status = status
        self._asker = asker
        self._monotonic = monotonic
        self._open_streams: dict[str, OpenStream] = {}
        self._is_explained = False
        self._limits = replace(limits or LIMITS, appends=self._streams is not None)

    @property
    def limits(self) -> Limits:
        """Slack's current limits. Slack allows more appends to a stream than edits of a message."""
        append_interval = min(APPEND_INTERVAL, self._limits.edit_interval)
        return replace(self._limits, edit_interval=append_interval) if self._open_streams else self._limits

    async def post(self, part: Part) -> str:
        """Post into the thread and return the message's ``ts``. Where the bot may not post, tell the asker directly."""
        try:
            ref = await self._post(part)
        except MessageGone as error:
            await self._explain_to_asker(error)
            raise
        await self._remove_copies(ref, part)
        return ref

    async def _post(self, part: Part) -> str:
        if part.settled is not None and not part.final and (ts := await self._start_stream(part)):
            return ts
        with errors.translated():
            posted = await self._client.chat_postMessage(
                channel=self._channel,
                thread_ts=self._thread_ts or None,
                unfurl_links=False,
                unfurl_media=False,
                metadata=render.metadata(part),
                **render.message(part),
            )
        posted_ts = posted.get("ts")
        if not isinstance(posted_ts, str):
            raise SurfaceError(user_messages.NO_MESSAGE_ID)
        return posted_ts

    async def edit(self, ref: str, part: Part) -> None:
        """Show ``part`` in the message, by appending to its stream if possible, otherwise by an edit."""
        try:
            await self._edit(ref, part)
        except MessageGone as error:
            await self._explain_to_asker(error)
            raise
        await self._remove_copies(ref, part)

    async def _remove_copies(self, ref: str, part: Part) -> None:
        """Delete posts of the same message by processes that died, once it has its final text."""
        if part.final:
            await self._search.remove_copies(part.nonce, ref, self.delete)

    async def _edit(self, ref: str, part: Part) -> None:
        if ref in self._open_streams and await self._append_to_stream(ref, part):
            return
        if ref in self._open_streams:
            await self._stop_stream(ref, part)
        try:
            await self._update(ref, part)
        except SlackApiError as error:
            if errors.code(error) not in stream_policy.STILL_OPEN:
                raise errors.surface_error(error) from error
            await self._stop_stream(ref, part)
            with errors.translated():
                await self._update(ref, part)

    async def _explain_to_asker(self, error: MessageGone) -> None:
        """Tell the asker by direct message, once, why there is no answer and what to do. Never raises."""
        code = errors.code(error.__cause__) if isinstance(error.__cause__, SlackApiError) else ""
        if code not in user_messages.CURES or not self._asker or self._is_explained or self._channel.startswith("D"):
            return
        self._is_explained = True
        text = user_messages.cannot_answer_in(self._channel, code)
        try:
            with errors.translated():
                opened = await self._client.conversations_open(users=self._asker)
                await self._client.chat_postMessage(
                    channel=str((opened.get("channel") or {}).get("id")),
                    text=text,
                    unfurl_links=False,
                    unfurl_media=False,
                )
        except SurfaceError as refusal:
            log.warning("The asker could not be told that %s is closed to the bot: %s", self._channel, refusal)

    async def _update(self, ref: str, part: Part) -> None:
        with errors.reached():
            await self._client.chat_update(channel=self._channel, ts=ref, **render.message(part))

    async def delete(self, ref: str) -> None:
        """Delete the message; a message that is already gone is no error."""
        if ref in self._open_streams:
            await self._stop_stream(ref)
        try:
            await self._remove(ref)
        except SlackApiError as error:
            if errors.code(error) not in stream_policy.STILL_OPEN:
                raise errors.surface_error(error) from error
            await self._stop_stream(ref)
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

    async def _start_stream(self, part: Part) -> str | None:
        """Start a stream and return its ``ts``; None if streams are unavailable, so that the part is posted."""
        streams, now = self._streams, self._monotonic()
        if streams is None or not streams.allow(self._channel, now):
            return None
        try:
            with errors.reached():
                started = await self._client.chat_startStream(
                    channel=self._channel,
                    thread_ts=self._thread_ts,
                    chunks=render.first_chunks(part),
                    **await streams.recipient(self._channel, self._asker),
                )
        except SurfaceError:
            streams.record_refusal("unknown", self._channel, now, stream_policy.UNCERTAIN_START_PAUSE)
            raise
        except SlackApiError as error:
            if errors.is_uncertain(error):
                streams.record_refusal("unknown", self._channel, now, stream_policy.UNCERTAIN_START_PAUSE)
                raise errors.surface_error(error) from error
            code, seconds = errors.code(error), errors.retry_after(error)
            if streams.record_refusal(code, self._channel, now, seconds):
                log.info(
                    "Slack does not allow streams in %s (%s): answers there are shown by edits", self._channel, code
                )
            return None
        ts = started.get("ts")
        if not isinstance(ts, str):
            streams.record_refusal("no ts", self._channel, now)
            return None
        self._open_streams[ts] = stream_policy.started_stream(part, now)
        return ts

    async def _append_to_stream(self, ref: str, part: Part) -> bool:
        """Append the part to the stream. Return False if the stream is over, or cannot show the part."""
        stream = self._open_streams[ref]
        chunks = stream.next_chunks(part, self._monotonic())
        if chunks is None:
            return False
        try:
            if chunks:
                stream.uncertain = True
                with errors.reached():
                    await self._client.chat_appendStream(channel=self._channel, ts=ref, chunks=chunks)
        except SlackApiError as error:
            translated = errors.surface_error(error)
            if errors.code(error) in stream_policy.ENDED:
                del self._open_streams[ref]
                return False
            if isinstance(translated, RateLimited | MessageGone):
                stream.uncertain = False
                raise translated from error
            return False
        stream.uncertain = False
        stream.mark_appended(part)
        return True

    async def _stop_stream(self, ref: str, part: Part | None = None) -> None:
        """Stop the stream of a message, with the rest of the part. A stream that is already over is no error."""
        stream = self._open_streams.get(ref)
        chunks = stream.final_chunks(part) if stream and part else []
        metadata = render.metadata(part) if part else None
        was_uncertain = stream is not None and stream.uncertain
        if stream is not None and chunks:
            stream.uncertain = True
        try:
            with errors.reached():
                await self._client.chat_stopStream(
                    channel=self._channel, ts=ref, chunks=chunks or None, metadata=metadata
                )
        except SlackApiError as error:
            translated = errors.surface_error(error)
            if isinstance(translated, RateLimited) and stream is not None:
                stream.uncertain = was_uncertain
            if isinstance(translated, RateLimited | MessageGone) or errors.is_uncertain(error):
                raise translated from error
            if chunks and errors.code(error) not in stream_policy.ENDED:
                await self._stop_stream(ref, part)
        self._open_streams.pop(ref, None)

    activity_seconds = STATUS_SECONDS

    async def show_activity(self, activity: Activity | None) -> None:
        """Show in the thread what the bot is doing, where Slack does."""
        if self._status is not None and self._thread_ts:
            text = activity.text if activity else ""
            await self._status.show(self._client, self._channel, self._thread_ts, text)

    # --- recovery, files and context

    async def find(self, nonce: str) -> str | None:
        """Return the ``ts`` of the message with the nonce; None if not found or if the app may not read the thread."""
        return await self._search.find(nonce)

    async def hand_over(self, name: str, data: bytes) -> None:
        """Upload a file into the thread."""
        with errors.translated():
            await self._client.files_upload_v2(
                channel=self._channel, thread_ts=self._thread_ts or None, filename=name, title=name, content=data
            )

    async def fetch(self, file: StoredAttachment) -> bytes:
        """Return the content of a file attached to the question."""
        if self._context is None:
            raise SurfaceError(user_messages.FILES_NOT_READABLE)
        return await self._context.fetch(file)

    async def above(self) -> ThreadAbove | None:
        """Return the thread above the question; None if the question starts the thread."""
        if self._context is None or not self._since or self._since == self._thread_ts:
            return None
        return await self._context.above(self._channel, self._thread_ts, self._since)

    async def transcript(self, extent: Extent) -> Sequence[ChatMessage]:
        """Return the messages before the question that it asks to summarize."""
        if self._context is None:
            raise SurfaceError(user_messages.FILES_NOT_READABLE)
        return await PlaceTranscripts(self._context, self._channel, self._thread_ts, self._since).transcript(extent)
