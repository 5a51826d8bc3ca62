"""Running the bot's commands for somebody in Slack: progress while they run, and what they answer."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
import uuid
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from bot import commands
from bot.commands.base import Channels, Context, Reply
from bot.commands.services import Services
from bot.errors import ParleyError
from bot.platforms.slack import user_messages
from bot.platforms.slack.ephemeral import Place, Whisper
from bot.platforms.slack.surface import LIMITS
from bot.types.conversation import Attachment, Author

log = logging.getLogger(__name__)

SILENT_SECONDS = 2.0
"""How long a command may take before the person sees that it runs."""

GOODBYE_SECONDS = 3.0

Run = Callable[[str, str, Context], Awaitable[Reply]]


class Progress:
    """One message that tells how far a command is; shown from the first update on, rewritten at Slack's pace."""

    def __init__(self, whisper: Whisper, place: Place, clock: Callable[[], float]) -> None:
        self._whisper = whisper
        self._place = place
        self._clock = clock
        self._last = float("-inf")
        self._lock = asyncio.Lock()
        self.line: tuple[str, str] | None = None

    async def update(self, text: str, /, stop: str = "") -> None:
        """Show the text, unless the last one went up just now. Never raises."""
        if self._lock.locked() or self._clock() - self._last < LIMITS.edit_interval:
            return
        async with self._lock:
            try:
                await self._show(text, stop)
            except ParleyError as error:
                log.warning("A command's progress could not be shown: %s", error)
            self._last = self._clock()

    async def _show(self, text: str, stop: str) -> None:
        if self.line is not None:
            await self._whisper.move(self.line, text, stop)
            return
        self.line = await self._whisper.open(self._place, text, stop)
        if self._place.response_url:
            await self._whisper.say(self._place, user_messages.IN_DIRECT_MESSAGE)

    async def finish(self, reply: Reply) -> bool:
        """Leave the line as it should stand; whether it now shows the reply where the person asked."""
        if self.line is None:
            return False
        async with self._lock:
            if self._place.response_url:
                await self._whisper.rewrite(self.line, reply)
                return False
            if reply.private and not self._place.is_direct:
                await self._whisper.take_away(self.line)
                return False
            await self._whisper.rewrite(self.line, reply)
            return True


class Commands:
    """Runs a command and shows its reply, whatever happens."""

    def __init__(
        self,
        whisper: Whisper,
        services: Services,
        *,
        channels: Channels | None = None,
        run: Run | None = None,
        clock: Callable[[], float] = time.monotonic,
        silent_seconds: float = SILENT_SECONDS,
    ) -> None:
        self._whisper = whisper
        self.services = services
        self._channels = channels
        self._silent = silent_seconds
        self._run = run or commands.run
        self._clock = clock

    async def answer(
        self,
        name: str,
        args: str,
        place: Place,
        author: Author,
        tenant_id: str,
        *,
        thread_id: str | None = None,
        attachments: tuple[Attachment, ...] = (),
    ) -> None:
        """Run ``name`` for ``author`` and show what it says. ``thread_id`` is None outside threads."""
        progress = Progress(self._whisper, place, self._clock)
        context = Context(
            tenant_id=tenant_id,
            platform="slack",
            channel_id=place.channel_id,
            thread_id=thread_id,
            author=author,
            services=self.services,
            attachments=attachments,
            update=progress.update,
            channels=self._channels,
        )
        try:
            reply = await self._attended(self._outcome(name, args, context), place, progress)
        except asyncio.CancelledError:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(
                    self._show(Reply(user_messages.INTERRUPTED), name, place, progress), GOODBYE_SECONDS
                )
            raise
        await self._show(reply, name, place, progress)

    async def _show(self, reply: Reply, name: str, place: Place, progress: Progress) -> None:
        try:
            if await progress.finish(reply):
                await self._whisper.hand_over(place, reply)
            else:
                await self._whisper.reply(place, reply)
        except ParleyError as error:
            log.warning("The reply of %s could not be shown: %s", name, error)

    async def _attended(self, outcome: Coroutine[Any, Any, Reply], place: Place, progress: Progress) -> Reply:
        """Wait for the outcome; say that it is being worked on where that takes long and nothing was shown."""
        task = asyncio.create_task(outcome)
        try:
            done, _ = await asyncio.wait({task}, timeout=self._silent)
            if not done and progress.line is None:
                await self._show_life(place, progress)
            return await task
        finally:
            task.cancel()

    async def _show_life(self, place: Place, progress: Progress) -> None:
        if not place.response_url:
            await progress.update(user_messages.WORKING)
            return
        try:
            await self._whisper.say(place, user_messages.WORKING)
        except ParleyError as error:
            log.warning("A sign of life could not be shown: %s", error)

    async def _outcome(self, name: str, args: str, context: Context) -> Reply:
        try:
            return await self._run(name, args, context)
        except ParleyError as error:
            return Reply(str(error))
        except Exception:
            trace = uuid.uuid4().hex[:8]
            log.exception("Command %s failed (%s)", name, trace)
            return Reply(user_messages.broken(trace))
