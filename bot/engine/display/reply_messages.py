"""Posts, edits and deletes the messages of one reply; each is recorded before it is posted, and posted only once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from bot.engine.display.edit_pacing import EditPacing
from bot.engine.ports.surface import PartRecorder, Surface
from bot.errors import MessageGone, RateLimited, SurfaceError
from bot.types.display import Part

log = logging.getLogger(__name__)

SHOW_TIMEOUT = 10.0
"""Timeout of a post or an edit, in seconds. A lease lasts longer than ``lease.CONFIRM_SECONDS`` plus this timeout.

In a process that was paused, the timeout expires before anything else runs, so a late edit cannot overwrite the answer
of another process.
"""


@dataclass(slots=True)
class _Message:
    """One message of the reply: its reference once posted, its last known content, and whether it is recorded.

    ``doubtful``: a post was started and its result is unknown. ``posting`` is the task of that post; it continues if
    its caller is cancelled. ``replaced`` is the recorded reference of the message in whose place this one is posted,
    and ``generation`` counts such messages.
    """

    ref: str | None = None
    shown: Part | None = None
    recorded: bool = False
    doubtful: bool = False
    posting: asyncio.Task[None] | None = None
    replaced: str | None = None
    generation: int = 0

    def nonce(self, nonce: str) -> str:
        """Return the nonce of this message; a message that is posted in place of another one has its own."""
        return f"anew{self.generation}:{nonce}" if self.generation else nonce

    def named(self, part: Part) -> Part:
        """Return the part with the nonce of this message."""
        return replace(part, nonce=self.nonce(part.nonce))


class ReplyMessages:
    """The messages of a reply, in order. Acts only when called; callers make one call at a time.

    ``parts`` and ``recorded`` come from an earlier process; ``record`` and ``confirm`` are those of ``Display``.
    """

    def __init__(
        self,
        surface: Surface,
        pacing: EditPacing,
        *,
        record: PartRecorder,
        parts: Sequence[str],
        recorded: int,
        confirm: Callable[[], Awaitable[None]],
        monotonic: Callable[[], float],
    ) -> None:
        self._surface = surface
        self._pacing = pacing
        self._record = record
        self._confirm = confirm
        self._monotonic = monotonic
        self._messages = [_Message(ref, recorded=True) for ref in parts]
        self._messages += [_Message(doubtful=True) for _ in range(recorded - len(parts))]
        self.platform_seconds = 0.0
        """Seconds that the platform took for posts and edits so far."""
        self.surplus: list[str] = []
        """References of messages that must be deleted and that the platform has not deleted yet."""

    def __len__(self) -> int:
        return len(self._messages)

    @property
    def posting(self) -> list[asyncio.Task[None]]:
        """Posts that were started, finished or not."""
        return [message.posting for message in self._messages if message.posting is not None]

    def outdated(self, index: int, part: Part) -> bool:
        """Return whether the last known content of the message at ``index`` differs from ``part``."""
        if index >= len(self._messages):
            return True
        message = self._messages[index]
        return message.shown != message.named(part)

    async def put(self, index: int, part: Part) -> None:
        """Make the message at ``index`` show ``part``: record it, post it, record its reference, or edit it.

        After a failed edit, the content of the message is unknown, so the message counts as outdated. Raises
        EditRefused if it can no longer be edited: ``post_anew`` must follow.
        """
        if index == len(self._messages):
            self._messages.append(_Message())
        message = self._messages[index]
        part = message.named(part)
        if message.ref is None:
            await self._record(index, None)
            await self._post(message, part)
            if index:
                self._pacing.done(self._monotonic(), self._interval)
        if not message.recorded:
            await self._record_reference(index, message)
        if message.shown != part:
            await self._confirm()
            message.shown = None
            await self._edit(message.ref or "", part)
            message.shown = part

    def post_anew(self, start: int, end: int) -> None:
        """Replace the messages from ``start`` to before ``end``: ``put`` posts them anew, in their order.

        The old ones are added to ``surplus``. Every process gives the new posts the same nonces, so that the post of a
        process that died is found.
        """
        for index in range(start, min(end, len(self._messages))):
            old = self._messages[index]
            if old.ref is not None:
                self.surplus.append(old.ref)
                recorded = old.ref if old.recorded else old.replaced
                self._messages[index] = _Message(doubtful=True, replaced=recorded, generation=old.generation + 1)

    async def hand_over_posts(self, take: Callable[[int, str], Awaitable[str | None]]) -> None:
        """Hand messages that were posted but not recorded to the next holder of the turn.

        ``take`` records a reference and returns the recorded one. If it differs, this process's message is deleted.
        """
        for index, message in enumerate(self._messages):
            if message.ref is not None and not message.recorded and await take(index, message.ref) != message.ref:
                await self._delete(message.ref)

    async def take_down(self, nonce: str) -> None:
        """Delete the last message; find it by its nonce if necessary. It stays in the list until ``forget_last``."""
        message = self._messages[-1]
        if message.ref is None and message.doubtful:
            message.ref = await self._surface.find(message.nonce(nonce))
        if message.ref is not None:
            await self._surface.delete(message.ref)

    def forget_last(self) -> None:
        """Remove the last message from the list."""
        self._messages.pop()

    @property
    def _interval(self) -> float:
        return self._surface.limits.edit_interval

    async def _record_reference(self, index: int, message: _Message) -> None:
        """Record the message's reference.

        If a process that lost the turn has recorded its own post of this message, that post stays and ours is deleted.
        """
        replaced = {} if message.replaced is None else {"replaced": message.replaced}
        existing = await self._record(index, message.ref, **replaced)
        message.recorded = True
        if existing is not None and message.ref is not None and existing != message.ref:
            own, message.ref, message.shown = message.ref, existing, None
            await self._delete(own)

    async def _delete(self, ref: str) -> None:
        """Delete a message; if the platform fails, add it to ``surplus`` to be deleted later."""
        try:
            await self._surface.delete(ref)
        except MessageGone:
            return
        except SurfaceError as error:
            log.warning("message %s could not be deleted yet: %s", ref, error)
            self.surplus.append(ref)

    async def _edit(self, ref: str, part: Part) -> None:
        try:
            with self._measured():
                async with asyncio.timeout(SHOW_TIMEOUT):
                    await self._surface.edit(ref, part)
        except RateLimited as error:
            self._pacing.refused(self._monotonic(), error)
            raise
        self._pacing.done(self._monotonic(), self._interval)

    async def _post(self, message: _Message, part: Part) -> None:
        """Post the message.

        If an earlier post may have succeeded, find that message instead; its content is then unknown.
        """
        if message.posting is not None:
            await asyncio.wait([message.posting])
        if message.doubtful and message.ref is None:
            message.ref = await self._surface.find(part.nonce)
        if message.ref is None:
            message.posting = asyncio.create_task(self._posted(message, part), name=f"post of {part.nonce}")
            await asyncio.shield(message.posting)

    async def _posted(self, message: _Message, part: Part) -> None:
        """Post the message, in the same step of the event loop in which the lease is confirmed.

        A process that was paused continues in the middle of a step. Only before the next step do its timeouts expire.
        """
        await self._confirm()
        message.doubtful = True
        with self._measured():
            async with asyncio.timeout(SHOW_TIMEOUT):
                message.ref, message.shown = await self._surface.post(part), part

    @contextmanager
    def _measured(self) -> Iterator[None]:
        start = self._monotonic()
        try:
            yield
        finally:
            self.platform_seconds += self._monotonic() - start
