"""Where a reply of the playground appears: in the hub, and so on every open page."""

from __future__ import annotations

import itertools
from dataclasses import replace

from bot.engine.ports.clock import Clock
from bot.platforms.web import render
from bot.platforms.web.event_hub import Hub
from bot.platforms.web.json_views import stamp
from bot.platforms.web.upload_buffer import UploadBuffer
from bot.types.conversation import StoredAttachment
from bot.types.display import Limits, Part
from bot.types.turns import Turn

LIMITS = Limits(message_chars=16_000, edit_interval=0.15, here_only=True)


class WebSurface:
    """One reply. References survive a restart: an edit of a message that the hub does not know shows it again."""

    limits = LIMITS

    def __init__(self, hub: Hub, turn: Turn, clock: Clock, beside: UploadBuffer | None = None) -> None:
        self._beside = beside or UploadBuffer()
        self._hub = hub
        self._turn = turn
        self._clock = clock
        self._texts: dict[str, Part] = {}
        self._numbers = itertools.count(len(turn.parts) + 1)

    async def post(self, part: Part) -> str:
        ref = self._ref(part.nonce) or f"a-{self._turn.id}-{next(self._numbers)}"
        self._show(ref, part)
        return ref

    async def edit(self, ref: str, part: Part) -> None:
        self._show(ref, part)

    async def delete(self, ref: str) -> None:
        self._texts.pop(ref, None)
        self._hub.drop(ref)

    async def find(self, nonce: str) -> str | None:
        ref = self._ref(nonce)
        return ref if ref and self._hub.message(ref) else None

    async def fetch(self, file: StoredAttachment) -> bytes:
        """The bytes of a file beside the question. Raises SurfaceError."""
        return await self._beside.data(file.ref)

    async def above(self) -> None:
        """Nothing: a conversation of the page begins with the bot."""

    def _ref(self, nonce: str) -> str:
        """A part's number is in its nonce."""
        _, _, index = nonce.rpartition(":")
        return f"a-{self._turn.id}-{int(index) + 1}" if index.isdecimal() else ""

    def _show(self, ref: str, part: Part) -> None:
        self._texts[ref] = part
        known = frozenset(citation.n for shown in self._texts.values() for citation in shown.sources)
        self._put(ref, part, known)
        if part.sources:
            for earlier, text in self._texts.items():
                if earlier != ref:
                    self._put(earlier, text, known)

    def _put(self, ref: str, part: Part, known: frozenset[int]) -> None:
        before = self._hub.message(ref)
        at = before.at if before else stamp(self._clock())
        view = render.reply(ref, part, thread=self._turn.thread.thread_id, at=at, known=known)
        self._hub.put(replace(view, turn=self._turn.id))
