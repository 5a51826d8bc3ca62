"""Implements the ``Surface`` port for the playground: shows a reply's messages on every open page."""

from __future__ import annotations

from dataclasses import replace

from bot.engine.ports.clock import Clock
from bot.platforms.web import render
from bot.platforms.web.conversation_files import PageFiles
from bot.platforms.web.event_hub import EventHub
from bot.platforms.web.json_views import iso_timestamp, placeholder_id, stored_answer_id
from bot.types.conversation import StoredAttachment
from bot.types.display import Limits, Part
from bot.types.turns import Turn

LIMITS = Limits(message_chars=16_000, edit_interval=0.15, here_only=True)


class WebSurface:
    """The reply of one turn. References stay valid after a restart: editing a message restores it in the hub."""

    limits = LIMITS

    def __init__(self, hub: EventHub, turn: Turn, clock: Clock, files: PageFiles) -> None:
        self._files = files
        self._hub = hub
        self._turn = turn
        self._clock = clock
        self._parts: dict[str, Part] = {}

    async def post(self, part: Part) -> str:
        """Show a new message and return its ID."""
        ref = self._ref(part.nonce)
        self._show(ref, part)
        return ref

    async def edit(self, ref: str, part: Part) -> None:
        """Replace a message."""
        self._show(ref, part)

    async def delete(self, ref: str) -> None:
        """Remove a message."""
        self._parts.pop(ref, None)
        self._hub.remove_message(ref)

    async def find(self, nonce: str) -> str | None:
        """Return the ID of the message posted under a nonce, or None."""
        ref = self._ref(nonce)
        return ref if self._hub.message(ref) else None

    async def fetch(self, file: StoredAttachment) -> bytes:
        """Return the bytes of a file attached to the question. Raises SurfaceError."""
        return await self._files.read(file.ref)

    async def above(self) -> None:
        """Return None: every conversation of the page starts with the bot, so no messages precede it."""

    def _ref(self, nonce: str) -> str:
        """Return the message ID for a nonce, which ends with the part's index."""
        return f"a-{self._turn.id}-{int(nonce.rpartition(':')[2]) + 1}"

    def _show(self, ref: str, part: Part) -> None:
        self._parts[ref] = part
        source_numbers = frozenset(citation.n for shown in self._parts.values() for citation in shown.sources)
        self._put(ref, part, source_numbers)
        # Sources arrive with the last part. Markers in earlier parts become clickable only then.
        if part.sources:
            for earlier_ref, earlier in self._parts.items():
                if earlier_ref != ref:
                    self._put(earlier_ref, earlier, source_numbers)

    def _put(self, ref: str, part: Part, source_numbers: frozenset[int]) -> None:
        before = self._hub.message(ref)
        at = before.at if before else iso_timestamp(self._clock())
        view = render.reply(ref, part, thread=self._turn.thread.thread_id, at=at, source_numbers=source_numbers)
        # This process may have shown the turn while another one answered it.
        for stand_in in (stored_answer_id(self._turn.id), placeholder_id(self._turn.id)):
            self._hub.remove_message(stand_in)
        self._hub.put_message(replace(view, turn=self._turn.id))
