"""Runs the bot's commands for Slack users, and shows their progress and their replies."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
import uuid
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any

from bot.commands import registry as commands
from bot.commands.base import Channels, Context, Reply
from bot.commands.reply_delivery import Place, show_in_first
from bot.commands.services import Services
from bot.errors import ParleyError
from bot.platforms.slack import user_messages
from bot.platforms.slack.channel_readers import ChannelReaders
from bot.platforms.slack.command_replies import MessageRef, ReplySender, ReplyTarget
from bot.platforms.slack.surface import LIMITS
from bot.platforms.slack.thread_context import ThreadContext
from bot.platforms.slack.transcripts import PlaceTranscripts
from bot.types.conversation import Attachment, Author

log = logging.getLogger(__name__)

NOTICE_SECONDS = 2.0
"""How long a command may run before the user sees that it is running."""

INTERRUPTION_SECONDS = 3.0
"""Timeout for the message to the user that a command was cancelled."""

RunCommand = Callable[[str, str, Context], Awaitable[Reply]]


class ProgressMessage:
    """One message with the progress of a command: posted at the first update, then edited within Slack's rate limit."""

    def __init__(self, replies: ReplySender, target: ReplyTarget, clock: Callable[[], float]) -> None:
        self._replies = replies
        self._target = target
        self._clock = clock
        self._last_update = float("-inf")
        self._lock = asyncio.Lock()
        self.message: MessageRef | None = None

    async def update(self, text: str, /, stop: str = "") -> None:
        """Show the text, unless the last update was too recent. Never raises."""
        if self._lock.locked() or self._clock() - self._last_update < LIMITS.edit_interval:
            return
        async with self._lock:
            try:
                await self._show(text, stop)
            except ParleyError as error:
                log.warning("A command's progress could not be shown: %s", error)
            self._last_update = self._clock()

    async def _show(self, text: str, stop: str) -> None:
        if self.message is not None:
            await self._replies.update_progress(self.message, text, stop)
            return
        self.message = await self._replies.post_progress(self._target, text, stop)
        if self._target.response_url:
            await self._replies.send_text(self._target, user_messages.PROGRESS_IN_DIRECT_MESSAGE)

    def becomes(self, reply: Reply) -> bool:
        """Return whether the message is where the user asked, so that it can become the reply."""
        is_there = self.message is not None and not self._target.response_url
        return is_there and (self._target.is_direct or not reply.private)

    async def replace(self, reply: Reply) -> None:
        """Make the message show the reply. Raises SurfaceError."""
        assert self.message is not None
        async with self._lock:
            await self._replies.replace_progress(self.message, reply)

    async def tidy(self, reply: Reply) -> None:
        """End the message after the reply is shown elsewhere. Never raises.

        A message in the direct messages shows the reply too; another one is deleted.
        """
        if self.message is None:
            return
        try:
            async with self._lock:
                if self._target.response_url:
                    await self._replies.replace_progress(self.message, reply)
                else:
                    await self._replies.delete_progress(self.message)
        except ParleyError as error:
            log.warning("A command's progress message stays: %s", error)


class CommandRunner:
    """Runs a command and always shows a reply, even after a failure or a cancellation."""

    def __init__(
        self,
        replies: ReplySender,
        services: Services,
        readers: ChannelReaders,
        *,
        channels: Channels | None = None,
        context: ThreadContext | None = None,
        run_command: RunCommand | None = None,
        clock: Callable[[], float] = time.monotonic,
        notice_seconds: float = NOTICE_SECONDS,
    ) -> None:
        self._replies = replies
        self.services = services
        self._readers = readers
        self._channels = channels
        self._context = context
        self._notice_seconds = notice_seconds
        self._run_command = run_command or commands.run
        self._clock = clock

    async def run(
        self,
        name: str,
        args: str,
        target: ReplyTarget,
        author: Author,
        tenant_id: str,
        *,
        thread_id: str | None = None,
        attachments: tuple[Attachment, ...] = (),
    ) -> None:
        """Run the command ``name`` for ``author``, and show its reply. ``thread_id`` is None outside threads."""
        progress = ProgressMessage(self._replies, target, self._clock)
        context = Context(
            tenant_id=tenant_id,
            platform="slack",
            channel_id=target.channel_id,
            thread_id=thread_id,
            author=author,
            services=self.services,
            attachments=attachments,
            update=progress.update,
            channels=self._channels,
            transcripts=self._transcripts(target, thread_id),
            audience=await self._readers.of_private_reply(author, target.channel_id),
        )
        try:
            reply = await self._run_with_notice(self._reply_of(name, args, context), target, progress)
        except asyncio.CancelledError:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(
                    self._show(Reply(user_messages.INTERRUPTED), name, target, progress), INTERRUPTION_SECONDS
                )
            raise
        await self._show(reply, name, target, progress)

    def _transcripts(self, target: ReplyTarget, thread_id: str | None) -> PlaceTranscripts | None:
        return PlaceTranscripts(self._context, target.channel_id, thread_id or "") if self._context else None

    async def _show(self, reply: Reply, name: str, target: ReplyTarget, progress: ProgressMessage) -> None:
        """Show the reply where it can be shown, then its files. Never raises."""
        replaced = False

        async def replace() -> None:
            nonlocal replaced
            await progress.replace(reply)
            replaced = True

        places: list[Place] = [
            *([replace] if progress.becomes(reply) else []),
            *self._replies.places(target, reply),
            partial(self._replies.send_word, target, user_messages.NOT_SHOWN),
        ]
        try:
            is_shown = await show_in_first(name, places)
            if not replaced:
                await progress.tidy(reply)
            if is_shown:
                await self._replies.deliver_files(target, reply)
        except ParleyError as error:
            log.warning("The reply of %s could not be shown: %s", name, error)

    async def _run_with_notice(
        self, command: Coroutine[Any, Any, Reply], target: ReplyTarget, progress: ProgressMessage
    ) -> Reply:
        """Wait for the reply. If it takes long and no progress is shown, tell the user that the command is running."""
        task = asyncio.create_task(command)
        try:
            done, _ = await asyncio.wait({task}, timeout=self._notice_seconds)
            if not done and progress.message is None:
                await self._show_notice(target, progress)
            return await task
        finally:
            task.cancel()

    async def _show_notice(self, target: ReplyTarget, progress: ProgressMessage) -> None:
        if not target.response_url:
            await progress.update(user_messages.WORKING)
            return
        try:
            await self._replies.send_text(target, user_messages.WORKING)
        except ParleyError as error:
            log.warning("The notice that a command is running could not be shown: %s", error)

    async def _reply_of(self, name: str, args: str, context: Context) -> Reply:
        try:
            return await self._run_command(name, args, context)
        except ParleyError as error:
            return Reply(str(error))
        except Exception:
            trace_id = uuid.uuid4().hex[:8]
            log.exception("Command %s failed (%s)", name, trace_id)
            return Reply(user_messages.internal_error(trace_id))
