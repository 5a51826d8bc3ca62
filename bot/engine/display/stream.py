"""Shows one answer as rate-limited edits of one message, or of several if it is long. This is the only display path.

All text is sanitized first. ``show`` takes the newest text and returns at once. One background task puts it on the
platform and plans the next edit when the last one has returned, so edits never overlap or overtake each other.
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
from bot.engine.aio import cancel_all
from bot.engine.display.activity_indicator import ActivityIndicator
from bot.engine.display.answer_file import deliver
from bot.engine.display.edit_pacing import EditPacing, SharedPacing
from bot.engine.display.fallback_layouts import LAYOUTS, Layout
from bot.engine.display.final_retry import Deadline, FinalRetry
from bot.engine.display.output_filter import sanitize
from bot.engine.display.reply_messages import ReplyMessages
from bot.engine.display.split import rendered
from bot.engine.markdown import displayable, stable_length
from bot.engine.ports.surface import FileDelivery, PartRecorder, Surface
from bot.errors import EditRefused, LayoutRefused, LeaseLost, MessageGone, SurfaceError, for_operator
from bot.types.display import Action, Activity, Citation, Limits, Part

log = logging.getLogger(__name__)

IN_FLIGHT_SECONDS = 15.0
"""Seconds to wait for a post or an edit that is in progress."""
STOP: tuple[Action, ...] = ("stop",)

Allowed = frozenset[str] | Callable[[], frozenset[str]]


async def _always_confirmed() -> None:
    """Do nothing: the default for a display whose turn cannot be lost."""


class Display:
    """Shows one turn's answer. Async context manager; leaving it always ends the background task.

    ``parts``: references of messages that an earlier process posted for this turn; they are edited, not posted again.
    ``recorded``: the number of messages recorded; those without a reference are searched for before they are posted.
    ``record``: called with each message before it is posted, and again with its reference.
    ``confirm``: called before each change; raises LeaseLost if the turn may no longer be shown by this process.
    ``allowed``: the addresses that may be links (see ``urls_in``), or a function that returns them for each edit.
    ``shared``: the rate limiter of all displays of the workspace.
    ``deadline``: seconds for which the final text is retried while the platform is away or refuses it.
    """

    def __init__(
        self,
        surface: Surface,
        *,
        turn_id: str,
        record: PartRecorder,
        parts: Sequence[str] = (),
        recorded: int = 0,
        confirm: Callable[[], Awaitable[None]] = _always_confirmed,
        allowed: Allowed = frozenset(),
        shared: SharedPacing | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        deadline: float | None = None,
    ) -> None:
        self._surface = surface
        self._turn_id = turn_id
        self._allowed = allowed
        self._monotonic = monotonic
        self._sleep = sleep
        self._shared = shared or SharedPacing()
        pacing = self._pacing = EditPacing(surface.limits.edit_interval, self._shared)
        self._final = FinalRetry(pacing, turn_id, confirm=confirm, monotonic=monotonic, sleep=sleep, away=deadline)
        self._messages = ReplyMessages(
            surface, self._pacing, record=record, parts=parts, recorded=recorded, confirm=confirm, monotonic=monotonic
        )
        self.activity = ActivityIndicator(surface)
        self._text: str | Callable[[], str] = ""
        self._status = ""
        self._layout = 0
        self._streaming = False
        self._counted = False
        self._dirty = asyncio.Event()
        self._edit_lock = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._fatal: MessageGone | LeaseLost | None = None
        self._frozen = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.abandon()
        if self._counted:
            self._counted = False
            self._shared.end()
        await cancel_all(self._messages.posting)
        await self.activity.end()

    @property
    def edits_ms(self) -> float:
        """Milliseconds that the platform took for posts and edits so far."""
        return round(1000 * self._messages.platform_seconds, 2)

    @property
    def gone(self) -> bool:
        """Whether the message was deleted, so that nothing can be shown any more."""
        return isinstance(self._fatal, MessageGone)

    async def open(self, status: str) -> None:
        """Show a status and start the background task.

        A new message is posted at once; an existing one is edited when the rate limit allows. Raises LeaseLost. After a
        temporary failure of the platform, the background task retries.
        """
        self._streaming = True
        self.activity.show(Activity(user_messages.IS_SEARCHING))
        if self.may_say():
            await self.say(status)
        else:
            self._status = sanitize(status, frozenset())
            self._dirty.set()
        self._shared.begin()
        self._counted = True
        self._task = asyncio.create_task(self._keep_up(), name=f"display {self._turn_id}")

    async def say(self, status: str) -> None:
        """Show a status in place of the answer that has no text yet. Raises LeaseLost."""
        self._status = sanitize(status, frozenset())
        await self._attempt()
        if isinstance(self._fatal, LeaseLost):
            raise self._fatal

    def may_say(self) -> bool:
        """Reserve an edit for a status, and return whether the rate limit allows it.

        Answers take precedence over statuses.
        """
        return not self._messages or self._pacing.reserve_draft(self._monotonic()) <= 0

    def show(self, text: str | Callable[[], str]) -> None:
        """Set the newest full text, or a function that returns it when an edit goes out.

        Never raises and never waits. An empty or shorter text replaces the draft.
        """
        self._text = text
        self.activity.show(Activity(user_messages.IS_WRITING, writing=True))
        self._dirty.set()

    async def close(
        self,
        text: str,
        *,
        sources: Sequence[Citation] = (),
        notes: Sequence[str] = (),
        actions: Sequence[Action] = (),
    ) -> tuple[Part, ...]:
        """Show the final text, retry for a short time, and return what is shown.

        Sources, notes and actions are under the last message; surplus messages of the draft are deleted. If the text is
        too long for the messages, a file with all of it follows where the platform takes files. A note says whether
        there is one. Messages that can no longer be edited are posted anew.

        If the platform refuses the layout, simpler ones follow, and at last a line that says so, with the file.
        Raises MessageGone and LeaseLost at once; PlatformAway or another SurfaceError after ``deadline`` seconds; and
        RateLimited if the platform asks to wait for long.
        """
        await self._finish_background()
        if self._fatal is not None:
            raise self._fatal
        last = Part("", "", "", sources=tuple(sources), notes=tuple(notes), actions=tuple(actions))
        for layout in LAYOUTS[min(self._layout, 1) : -1]:
            with suppress(LayoutRefused):
                return await self._show_final(text, last, layout)
        return await self._show_final(text, replace(last, sources=(), notes=()), LAYOUTS[-1])

    async def _show_final(self, text: str, last: Part, layout: Layout) -> tuple[Part, ...]:
        """Show the final text in one layout, with what stands below the ``last`` message. Raises LayoutRefused too."""
        self._layout = LAYOUTS.index(layout)
        cut = rendered(user_messages.NOT_DISPLAYABLE if layout.notice else text, self._limits, self._addresses())
        parts = [self._part(index, shown, final=True) for index, shown in enumerate(cut.parts or [self._status or "…"])]
        is_cut = bool(cut.rest or layout.notice)
        file = self._surface if is_cut and isinstance(self._surface, FileDelivery) else None
        about_rest = [user_messages.REST_IN_FILE if file else user_messages.REST_CUT] if is_cut else []
        notes = last.notes
        parts[-1] = replace(parts[-1], sources=last.sources, notes=(*notes, *about_rest), actions=last.actions)
        until = self._final.deadline()
        for index, part in enumerate(parts):
            if index and self._messages.outdated(index, part):
                await self._sleep(self._pacing.wait(self._monotonic()))
            await self._put_final(index, part, len(parts), until)
        await self._remove_surplus(len(parts), until)
        if file is not None and not await deliver(file, text, self._addresses(), self._final, self._turn_id):
            parts[-1] = replace(parts[-1], notes=(*notes, user_messages.REST_CUT))
            await self._put_final(len(parts) - 1, parts[-1], len(parts), until)
            await self._remove_surplus(len(parts), until)
        return tuple(parts)

    async def remove(self) -> bool:
        """Delete every message of a deleted question, leased or not. Return False if the platform keeps one."""
        await self.wait_for_posts()
        return await self._remove_surplus(0, self._final.deadline(IN_FLIGHT_SECONDS), leased=False)

    async def wait_for_posts(self) -> None:
        """End the background task, and wait for a post in flight."""
        await self.abandon()
        if posting := self._messages.posting:
            await asyncio.wait(posting, timeout=IN_FLIGHT_SECONDS)

    async def hand_over_posts(self, take: Callable[[int, str], Awaitable[str | None]]) -> None:
        """Hand messages that were posted but not recorded to the next holder of the turn.

        ``take`` returns the reference that is recorded then; if it is another one, this message is deleted.
        """
        await self._messages.hand_over_posts(take)

    async def abandon(self) -> None:
        """End the background task and leave the messages as they are. May be called more than once."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    # --- while the answer streams

    async def _keep_up(self) -> None:
        """Update the messages, one at a time, until cancelled or until nothing can be shown any more."""
        while self._fatal is None:
            await self._dirty.wait()
            while (wait := self._pacing.reserve_draft(self._monotonic(), self._surface.limits.edit_interval)) > 0:
                await self._sleep(wait)
            async with self._edit_lock:
                self._dirty.clear()
                await self._attempt()

    async def _attempt(self) -> None:
        """Post or edit the first outdated message; after a failure, log it and mark the display for another attempt.

        A draft that can no longer be edited stays as it is until the final text.
        """
        if self._frozen:
            return
        try:
            due = [(index, part) for index, part in enumerate(self._draft()) if self._messages.outdated(index, part)]
            if due:
                await self._messages.put(*due[0])
            if len(due) > 1:
                self._dirty.set()
        except (MessageGone, LeaseLost) as error:
            self._fatal = error
        except EditRefused as error:
            log.warning("turn %s: its draft stays as it is, and the answer is posted anew: %s", self._turn_id, error)
            self._frozen = True
        except LayoutRefused as error:
            self._pacing.failed(self._monotonic(), error)
            if LAYOUTS[self._layout].plain:
                return
            self._layout += 1
            self._dirty.set()
        except Exception as error:
            self._pacing.failed(self._monotonic(), error)
            self._dirty.set()
            level = WARNING if isinstance(error, SurfaceError | OSError) else ERROR
            log.log(level, "turn %s: not shown yet: %s", self._turn_id, for_operator(error), exc_info=level > WARNING)

    def _draft(self) -> list[Part]:
        """Return the messages as they should be now; all but the last are finished, the last has the stop button."""
        text = self._text() if callable(self._text) else self._text
        shown = self._rendered(displayable(text))
        parts = [self._part(index, text, final=True) for index, text in enumerate(shown or [self._status])]
        stable = self._stable_length(text, parts) if self._streaming and self._surface.limits.appends else None
        parts[-1] = replace(parts[-1], final=False, actions=STOP, waiting=not shown, settled=stable)
        return parts

    def _stable_length(self, text: str, parts: Sequence[Part]) -> int:
        """Return how many characters of the last message stay while the answer grows."""
        stable = self._rendered(text[: stable_length(text)])
        kept = stable[-1] if len(stable) == len(parts) else ""
        return len(kept) if parts[-1].text.startswith(kept) else 0

    def _rendered(self, text: str) -> list[str]:
        return rendered(text, self._limits, self._addresses()).parts

    @property
    def _limits(self) -> Limits:
        return LAYOUTS[self._layout].limits(self._surface.limits)

    def _part(self, index: int, text: str, *, final: bool) -> Part:
        links = self._addresses()
        nonce, plain = f"{self._turn_id}:{index}", LAYOUTS[self._layout].plain
        return Part(text, nonce=nonce, turn_id=self._turn_id, final=final, links=links, plain=plain)

    def _addresses(self) -> frozenset[str]:
        return self._allowed() if callable(self._allowed) else self._allowed

    # --- the final text

    async def _finish_background(self) -> None:
        """End the background task after its edit in progress has returned, so that the final edit comes last."""
        with suppress(TimeoutError):
            async with asyncio.timeout(IN_FLIGHT_SECONDS), self._edit_lock:
                pass
        await self.abandon()

    async def _put_final(self, index: int, part: Part, count: int, until: Deadline) -> None:
        """Show one of ``count`` final messages. If it can no longer be edited, post it and those below it anew."""
        put = partial(self._messages.put, index, part)
        try:
            await self._final.run(put, until)
        except EditRefused as error:
            log.warning("turn %s: message %d is posted anew: %s", self._turn_id, index + 1, error)
            self._messages.post_anew(index, count)
            await self._final.run(put, until)

    async def _remove_surplus(self, keep: int, until: Deadline, *, leased: bool = True) -> bool:
        """Delete the messages of a longer draft; return whether all are gone.

        A message that stays is only logged, because the answer itself is complete.
        """
        surplus = self._messages.surplus
        stay = len(surplus)
        while surplus:
            stay -= await self._removed(partial(self._surface.delete, surplus.pop()), until, leased)
        while len(self._messages) > keep:
            nonce = self._part(len(self._messages) - 1, "", final=True).nonce
            stay += not await self._removed(partial(self._messages.take_down, nonce), until, leased)
            self._messages.forget_last()
        return not stay

    async def _removed(self, removal: Callable[[], Awaitable[None]], until: Deadline, leased: bool) -> bool:
        try:
            await self._final.run(removal, until, leased=leased)
        except MessageGone:
            return True
        except SurfaceError as error:
            log.warning("turn %s: a message of an earlier draft could not be deleted: %s", self._turn_id, error)
            return False
        return True
