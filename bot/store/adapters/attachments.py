"""Stored attachments on PostgreSQL: see ``bot.engine.ports.attachments.AttachmentStore``."""

from __future__ import annotations

from bot.store.adapters.transactions import Transactions
from bot.store.turns import attachments
from bot.types.conversation import StoredAttachment
from bot.types.turns import Turn


class PostgresAttachments:
    """Stores the text read from files and from the thread above a question."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    async def keep_attachment(self, turn: Turn, attached: StoredAttachment) -> None:
        tenant_id = turn.thread.tenant_id
        await self._transactions.session(
            tenant_id, lambda session, _: attachments.keep(session, tenant_id=tenant_id, attached=attached)
        )
