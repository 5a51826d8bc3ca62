"""The only display path: one answer, shown as paced edits of one message and, where it is long, of further ones.

Nothing is shown that the gate has not passed. ``show`` takes the newest text and returns at once; one task puts it on
the surface, the next edit being planned when the last one came back, so that edits never overlap or overtake.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from logging import ERROR, WARNING
from types import TracebackType
from typing import Self

from bot.engine import user_messages
from bot.engine.display.edit_pacing import EditPacing, SharedPacing
from bot.engine.display.output_filter import safe
from bot.engine.display.reply_messages import Messages
from bot.engine.display.split import rendered
from bot.engine.markdown import settled, visible
from bot.engine.ports.surface import FileDelivery, PartRecorder, Surface
from bot.errors import LeaseLost, MessageGone, SurfaceError
from bot.types.display import Action, Citation, Part

log = logging.getLogger(__name__)

CLOSE_SECONDS = 120.0
IN_FLIGHT_SECONDS = 15.0
STOP: tuple[Action, ...] = ("stop",)

Allowed = frozenset[str] | Callable[[], frozenset[str]]


async def _no_doubt() -> None:
    """For a display whose owner cannot lose what it shows."""


class Display:
    """Shows one turn's answer. An async context manager: leaving it ends the background task, whatever happened.

    ``parts`` are the references of messages that an earlier process posted for this turn: they are edited, not posted
    again; ``recorded`` says how many were about to be: the others are looked for before they are posted. ``record`` is
    told of each message before it is posted and again with its reference; ``confirm`` is asked before each edit whether
    it may still be made, and raises LeaseLost. ``allowed`` are the addresses that may be links (``urls_in``), or a
    function that says which, asked anew for each edit. ``shared`` is the pace of all displays of the workspace.
    """

    def __init__(
        self,
        surface: Surface,
        *,
        turn_id: str,
        record: PartRecorder,
        parts: Sequence[str] = (),
        recorded: int = 0,
        confirm: Callable[[], Awaitable[None]] = _no_doubt,
        allowed: Allowed = frozenset(),
        shared: SharedPacing | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        deadline: float = CLOSE_SECONDS,
    ) -> None:
        self._surface = surface
        self._turn_id = turn_id
        self._allowed = allowed
        self._monotonic = monotonic
        self._sleep = sleep
        self._deadline = deadline
        self._shared = shared or SharedPacing()
        self._pace = EditPacing(surface.limits.edit_interval, self._shared)
        self._messages = Messages(
            surface, self._pace, record=record, parts=parts, recorded=recorded, confirm=confirm, monotonic=monotonic
        )
        self._text: str | Callable[[], str] = ""
        self._status = ""
        self._live = False
        self._counted = False
        self._dirty = asyncio.Event()
        self._busy = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._fatal: MessageGone | LeaseLost | None = None
        self.rest = ""
        """After ``close``: the end of the answer that the messages had no room for, else empty."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.abandon()
        if self._counted:
            self._counted = False
            self._shared.end()
        await _ended(self._messages.posting)

    @property
    def gone(self) -> bool:
        """Whether the place to show anything is no longer there: the turn may as well end."""
        return isinstance(self._fatal, MessageGone)

    async def open(self, status: str) -> None:
        """Give a sign of life: at once in a message of its own; in one that stands already, when it is its turn.

        Raises LeaseLost; where the platform fails in passing, the background task goes on.
        """
        self._live = True
        if self.may_say():
            await self.say(status)
        else:
            self._status = safe(status, frozenset())
            self._dirty.set()
        self._shared.begin()
        self._counted = True
        self._task = asyncio.create_task(self._keep_up(), name=f"display {self._turn_id}")

    async def say(self, status: str) -> None:
        """Show what stands there while there is no text yet. Raises LeaseLost."""
        self._status = safe(status, frozenset())
        await self._attempt()
        if isinstance(self._fatal, LeaseLost):
            raise self._fatal

    def may_say(self) -> bool:
        """Whether something may be said that matters less than answers do; the place of an edit is then taken."""
        return not self._messages or self._pace.draft(self._monotonic()) <= 0

    def show(self, text: str | Callable[[], str]) -> None:
        """Take the newest whole text, or a function that makes it when an edit goes out.

        Never raises and never waits; an empty or shorter text overwrites the draft.
        """
        self._text = text
        self._dirty.set()

    async def close(
        self,
        text: str,
        *,
        sources: Sequence[Citation] = (),
        notes: Sequence[str] = (),
        actions: Sequence[Action] = (),
    ) -> tuple[Part, ...]:
        """Show the final text, whatever it takes until the deadline, and return what is shown.

        Sources, notes and actions stand under the last part; messages beyond it are taken away. Raises MessageGone,
        LeaseLost, or a SurfaceError once the deadline has passed.
        """
        await self._settle()
        if self._fatal is not None:
            raise self._fatal
        cut = rendered(text, self._surface.limits, self._addresses())
        self.rest = cut.rest
        parts = [self._part(index, shown, final=True) for index, shown in enumerate(cut.parts or [self._status or "…"])]
        file = self._surface if cut.rest and isinstance(self._surface, FileDelivery) else None
        told = (*notes, *([user_messages.REST_IN_FILE if file else user_messages.REST_CUT] if cut.rest else []))
        parts[-1] = replace(parts[-1], sources=tuple(sources), notes=told, actions=tuple(actions))
        until = self._monotonic() + self._deadline
        for index, part in enumerate(parts):
            if index and self._messages.outdated(index, part):
                await self._sleep(self._pace.wait(self._monotonic()))
            await self._insist(partial(self._messages.put, index, part), until)
        await self._remove_surplus(len(parts), until)
        if file is not None:
            whole = safe(text, self._addresses()).encode()
            await self._insist(partial(file.hand_over, user_messages.WHOLE_ANSWER, whole), until)
        return tuple(parts)

    async def remove(self) -> bool:
        """Take every message away; nothing can be shown afterwards. False where the platform keeps one."""
        await self.landed()
        return await self._remove_surplus(0, self._monotonic() + IN_FLIGHT_SECONDS)

    async def landed(self) -> None:
        """End the background task, and wait for a post that is under way."""
        await self.abandon()
        if posting := self._messages.posting:
            await asyncio.wait(posting, timeout=IN_FLIGHT_SECONDS)

    async def offer(self, take: Callable[[int, str], Awaitable[str | None]]) -> None:
        """Leave to the turn's next holder what was posted and not recorded any more.

        ``take`` returns the reference that is on record then: where that is another one, this message goes.
        """
        await self._messages.offer(take)

    async def abandon(self) -> None:
        """End the background task and leave everything as it stands. May be called more than once."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    # --- while it streams

    async def _keep_up(self) -> None:
        """Bring the surface up to date, one message at a time, until cancelled or nothing can be shown any more."""
        while self._fatal is None:
            await self._dirty.wait()
            while (wait := self._pace.draft(self._monotonic(), self._interval)) > 0:
                await self._sleep(wait)
            async with self._busy:
                self._dirty.clear()
                await self._attempt()

    async def _attempt(self) -> None:
        """Post or edit the first message that is out of date; a failure is noted and leads to another attempt."""
        try:
            due = [(index, part) for index, part in enumerate(self._draft()) if self._messages.outdated(index, part)]
            if due:
                await self._messages.put(*due[0])
            if len(due) > 1:
                self._dirty.set()
        except (MessageGone, LeaseLost) as error:
            self._fatal = error
        except Exception as error:
            self._pace.failed(self._monotonic(), error)
            self._dirty.set()
            log.log(_level(error), "turn %s: not shown yet: %s", self._turn_id, error, exc_info=_level(error) > WARNING)

    def _draft(self) -> list[Part]:
        """The messages as they should stand now; all but the last are finished, the last has the stop button."""
        text = self._text() if callable(self._text) else self._text
        shown = self._rendered(visible(text))
        parts = [self._part(index, text, final=True) for index, text in enumerate(shown or [self._status])]
        grown = self._settled(text, parts) if self._live and self._surface.limits.appends else None
        parts[-1] = replace(parts[-1], final=False, actions=STOP, waiting=not shown, settled=grown)
        return parts

    def _settled(self, text: str, parts: Sequence[Part]) -> int:
        """Characters of the last message that stay while the answer grows."""
        before = self._rendered(text[: settled(text)])
        kept = before[-1] if len(before) == len(parts) else ""
        return len(kept) if parts[-1].text.startswith(kept) else 0

    def _rendered(self, text: str) -> list[str]:
        return rendered(text, self._surface.limits, self._addresses()).parts

    def _part(self, index: int, text: str, *, final: bool) -> Part:
        return Part(text, nonce=f"{self._turn_id}:{index}", turn_id=self._turn_id, final=final)

    @property
    def _interval(self) -> float:
        return self._surface.limits.edit_interval

    def _addresses(self) -> frozenset[str]:
        return self._allowed() if callable(self._allowed) else self._allowed

    # --- the end

    async def _settle(self) -> None:
        """End the background task, but let an edit that is under way come back first: it must not overtake the last."""
        with suppress(TimeoutError):
            async with asyncio.timeout(IN_FLIGHT_SECONDS), self._busy:
                pass
        await self.abandon()

    async def _insist(self, action: Callable[[], Awaitable[None]], until: float) -> None:
        """Try until it succeeds, waiting as long as the platform says. Raises what it raised last after ``until``."""
        while True:
            now = self._monotonic()
            try:
                await self._sleep(self._pace.last(now))
                while (wait := self._pace.blocked(self._monotonic())) > 0:
                    await self._sleep(wait)
                return await action()
            except (MessageGone, LeaseLost):
                raise
            except Exception as error:
                log.warning("turn %s: final text not shown yet: %s", self._turn_id, error)
                now = self._monotonic()
                if now >= until:
                    raise _as_surface_error(error) from error
                self._pace.failed(now, error, latest=until)

    async def _remove_surplus(self, keep: int, until: float) -> bool:
        """Delete messages of a draft that was longer; whether all went. One that stays is told in the log: the answer
        itself stands."""
        surplus = self._messages.surplus
        stay = len(surplus)
        while surplus:
            stay -= await self._removed(partial(self._surface.delete, surplus.pop()), until)
        while len(self._messages) > keep:
            nonce = self._part(len(self._messages) - 1, "", final=True).nonce
            stay += not await self._removed(partial(self._messages.take_down, nonce), until)
            self._messages.forget_last()
        return not stay

    async def _removed(self, removal: Callable[[], Awaitable[None]], until: float) -> bool:
        try:
            await self._insist(removal, until)
        except MessageGone:
            return True
        except SurfaceError as error:
            log.warning("turn %s: a message of an earlier draft stays: %s", self._turn_id, error)
            return False
        return True


async def _ended(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _level(error: Exception) -> int:
    return WARNING if isinstance(error, SurfaceError | OSError | TimeoutError) else ERROR


def _as_surface_error(error: Exception) -> SurfaceError:
    return error if isinstance(error, SurfaceError) else SurfaceError(f"The answer could not be shown: {error}")
