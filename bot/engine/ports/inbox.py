"""Port to the inbox: stores incoming questions once, and finds their turns again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from bot.types.audience import Audience
from bot.types.conversation import Incoming, Platform, ThreadKey
from bot.types.turns import Turn


class Inbox(Protocol):
    """Stores questions and their turns. Every method may raise StoreAway."""

    async def accept(self, incoming: Incoming) -> Turn | None:
        """Store the message and its turn, and reserve the tokens that the turn will likely use, in one transaction.

        Return None if the message was accepted before.
        """

    async def note_command(self, thread: ThreadKey, message_id: str) -> bool:
        """Record a message that becomes no turn. Return False if any process recorded or accepted it before."""

    async def turn(self, tenant_id: str, turn_id: str) -> Turn | None:
        """Return a stored turn with the reply messages known so far."""

    async def turn_shown_in(self, tenant_id: str, platform: Platform, ref: str, channel_id: str | None) -> Turn | None:
        """Return the turn whose reply has the message ``ref``; ``channel_id`` is None if ``ref`` names its channel."""

    async def turns_of(self, thread: ThreadKey, message_id: str) -> Sequence[Turn]:
        """Return the turn of a message, then the turns that asked it again."""

    async def replace_question(
        self, turn: Turn, question: str, audience: Audience, edited_at: datetime | None = None
    ) -> Turn | None:
        """Queue the turn again with an edited question, for the people who read the channel now.

        The process that runs it loses its lease.

        Return None if the text is unchanged, or if an edit of a time after ``edited_at`` arrived before.
        """

    async def follows(self, thread: ThreadKey) -> bool:
        """Return whether the bot was ever asked in this thread, and nobody told it to be quiet there."""
