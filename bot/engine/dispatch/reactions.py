"""Carries out what people say with an emoji below a message: a rating, its withdrawal, or that an answer shall stop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from bot.engine.ports.stores import Stores
from bot.errors import NotAllowed, UsageError
from bot.types.conversation import Author, Platform, ThreadKey
from bot.types.turns import Turn

Mark = Literal["up", "down", "stop", "save"]

_RATINGS: dict[Mark, int] = {"up": 1, "down": -1}


@dataclass(frozen=True, slots=True)
class MarkedMessage:
    """A message with an emoji below it. ``ref`` is its reference if it belongs to a reply of the bot (``Surface``).

    ``channel_id`` is the channel that the threads there belong to. ``ref_names_channel``: the reference is unique
    without it.
    """

    tenant_id: str
    platform: Platform
    channel_id: str
    message_id: str
    ref: str
    ref_names_channel: bool = False


class Answers(Protocol):
    """The part of the dispatcher that emoji control."""

    async def rate(self, turn_id: str, by: Author, *, tenant_id: str, value: int, reason: str = "") -> None: ...

    async def stop(self, turn_id: str, by: Author, *, tenant_id: str = "") -> None: ...


class Reactions:
    """Finds the turn of a marked message and acts on it. Marks below other messages have no effect."""

    def __init__(self, answers: Answers, stores: Stores) -> None:
        self._answers = answers
        self._stores = stores

    async def add(self, mark: Mark, message: MarkedMessage, by: Author) -> Turn | None:
        """Carry out a mark, and return the answer's turn; None if there is none.

        ``stop`` also works below the question, for its asker and admins; from others it has no effect. Saving is left
        to the caller. Raises StoreAway.
        """
        answered = await self._answered(message)
        if mark == "stop":
            for turn in [answered] if answered else await self._asked(message):
                await self._stop(turn, by)
        elif answered is not None and mark in _RATINGS:
            await self._rate(answered, by, _RATINGS[mark])
        return answered

    async def remove(self, mark: Mark, message: MarkedMessage, by: Author) -> None:
        """Withdraw the rating that a removed mark was. Other marks stay carried out. Raises StoreAway."""
        if mark in _RATINGS and (turn := await self._answered(message)) is not None:
            await self._stores.conversation.withdraw_rating(turn, by, _RATINGS[mark])

    async def _answered(self, message: MarkedMessage) -> Turn | None:
        channel_id = None if message.ref_names_channel else message.channel_id
        return await self._stores.inbox.turn_shown_in(message.tenant_id, message.platform, message.ref, channel_id)

    async def _asked(self, message: MarkedMessage) -> list[Turn]:
        place = ThreadKey(message.tenant_id, message.platform, message.channel_id, message.message_id)
        return [*await self._stores.inbox.turns_of(place, message.message_id)]

    async def _stop(self, turn: Turn, by: Author) -> None:
        try:
            await self._answers.stop(turn.id, by, tenant_id=turn.thread.tenant_id)
        except (NotAllowed, UsageError):
            return

    async def _rate(self, turn: Turn, by: Author, value: int) -> None:
        try:
            await self._answers.rate(turn.id, by, tenant_id=turn.thread.tenant_id, value=value)
        except UsageError:
            return
