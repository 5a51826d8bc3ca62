"""Port to stored attachments: text that was read from the files of a question."""

from __future__ import annotations

from typing import Protocol

from bot.types.conversation import StoredAttachment
from bot.types.turns import Turn


class AttachmentStore(Protocol):
    """Stores the text of attachments, so that later turns of the thread do not read them again. May raise StoreAway."""

    async def keep_attachment(self, turn: Turn, attached: StoredAttachment) -> None:
        """Store the text of a file or of the thread above the question."""
