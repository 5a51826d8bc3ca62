"""The messages of one reply: each is recorded before it is posted, posted once, and then edited or taken away."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from bot.engine.display.edit_pacing import EditPacing
from bot.engine.ports.surface import PartRecorder, Surface
from bot.errors import MessageGone, RateLimited, SurfaceError
from bot.types.display import Part

log = logging.getLogger(__name__)

SHOWN_WITHIN = 10.0
"""Seconds that a post or an edit may take: with ``hold.UNSURE`` before it, less than a lease lasts. In a process that
was paused the limit passes before anything else goes on, so that nothing is shown late over another's answer."""


@dataclass(slots=True)
class _Message:
    """A message of the reply: its reference once it is posted, what it shows as far as is known, if it is on record.

    ``doubtful``: a post of it was begun, and nobody knows whether it went through. ``posting`` is that post, which goes
    on where whoever waited for it is cancelled.
    """

    ref: str | None = None
    shown: Part | None = None
    recorded: bool = False
    doubtful: bool = False
    posting: asyncio.Task[None] | None = None


class Messages:
    """What stands there of a reply, in order. Nothing of it is done by itself, and nothing at the same time.

    ``parts`` and ``recorded`` are what an earlier process left, ``record`` and ``confirm`` as ``Display`` takes them.
    """

    def __init__(
        self,
        surface: Surface,
        pace: EditPacing,
        *,
        record: PartRecorder,
        parts: Sequence[str],
        recorded: int,
        confirm: Callable[[], Awaitable[None]],
        monotonic: Callable[[], float],
    ) -> None:
        self._surface = surface
        self._pace = pace
        self._record = record
        self._confirm = confirm
        self._monotonic = monotonic
        self._messages = [_Message(ref, recorded=True) for ref in parts]
        self._messages += [_Message(doubtful=True) for _ in range(recorded - len(parts))]
        self.surplus: list[str] = []
        """References that nobody shall see, and that the platform did not take away yet."""

    def __len__(self) -> int:
        return len(self._messages)

    @property
    def posting(self) -> list[asyncio.Task[None]]:
        """Posts that were begun, whether they have ended or not."""
        return [message.posting for message in self._messages if message.posting is not None]

    def outdated(self, index: int, part: Part) -> bool:
        """Whether the message at ``index`` reads otherwise than ``part``, as far as is known."""
        return index >= len(self._messages) or self._messages[index].shown != part

    async def put(self, index: int, part: Part) -> None:
        """Make the message at ``index`` read as ``part``: recorded before it is posted, and after with its reference.

        What a failed edit left behind is unknown: the message counts as out of date.
        """
        if index == len(self._messages):
            self._messages.append(_Message())
        message = self._messages[index]
        if message.ref is None:
            await self._record(index, None)
            await self._post(message, part)
            if index:
                self._pace.done(self._monotonic(), self._interval)
        if not message.recorded:
            await self._put_on_record(index, message)
        if message.shown != part:
            await self._confirm()
            message.shown = None
            await self._edit(message.ref or "", part)
            message.shown = part

    async def offer(self, take: Callable[[int, str], Awaitable[str | None]]) -> None:
        """Leave to the turn's next holder what was posted and not recorded any more.

        ``take`` returns the reference that is on record then: where that is another one, this message goes.
        """
        for index, message in enumerate(self._messages):
            if message.ref is not None and not message.recorded and await take(index, message.ref) != message.ref:
                await self._delete(message.ref)

    async def take_down(self, nonce: str) -> None:
        """Take the last message away, posted under that nonce if it was; it is known until ``forget_last``."""
        message = self._messages[-1]
        if message.ref is None and message.doubtful:
            message.ref = await self._surface.find(nonce)
        if message.ref is not None:
            await self._surface.delete(message.ref)

    def forget_last(self) -> None:
        """Know nothing of the last message any more."""
        self._messages.pop()

    @property
    def _interval(self) -> float:
        return self._surface.limits.edit_interval

    async def _put_on_record(self, index: int, message: _Message) -> None:
        """Where a process that lost the turn has posted the same message meanwhile, that one stays, for it is known."""
        known = await self._record(index, message.ref)
        message.recorded = True
        if known is not None and message.ref is not None and known != message.ref:
            own, message.ref, message.shown = message.ref, known, None
            await self._delete(own)

    async def _delete(self, ref: str) -> None:
        """Take a message away that nobody shall see; later, where the platform fails just now."""
        try:
            await self._surface.delete(ref)
        except MessageGone:
            return
        except SurfaceError as error:
            log.warning("message %s stays for now: %s", ref, error)
            self.surplus.append(ref)

    async def _edit(self, ref: str, part: Part) -> None:
        try:
            async with asyncio.timeout(SHOWN_WITHIN):
                await self._surface.edit(ref, part)
        except RateLimited as error:
            self._pace.refused(self._monotonic(), error)
            raise
        self._pace.done(self._monotonic(), self._interval)

    async def _post(self, message: _Message, part: Part) -> None:
        """Post it, or find it where an earlier post may have gone through: then what it shows is unknown."""
        if message.posting is not None:
            await asyncio.wait([message.posting])
        if message.doubtful and message.ref is None:
            message.ref = await self._surface.find(part.nonce)
        if message.ref is None:
            await self._confirm()
            message.doubtful = True
            message.posting = asyncio.create_task(self._posted(message, part), name=f"post of {part.nonce}")
            await asyncio.shield(message.posting)

    async def _posted(self, message: _Message, part: Part) -> None:
        async with asyncio.timeout(SHOWN_WITHIN):
            message.ref, message.shown = await self._surface.post(part), part
