"""Channel and tenant settings on PostgreSQL: see ``bot.engine.ports.settings.SettingsStore``."""

from __future__ import annotations

from collections.abc import Collection

from bot.store import tenants
from bot.store.adapters.transactions import Transactions
from bot.types.conversation import ThreadKey
from bot.types.settings import ChannelSettings


class PostgresSettings:
    """Reads the settings that admins change at run time."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    async def channel_settings(self, thread: ThreadKey) -> ChannelSettings:
        tenant_id, channel_id = thread.tenant_id, thread.channel_id
        return await self._transactions.session(
            tenant_id,
            lambda session, _: tenants.channel_settings(session, tenant_id=tenant_id, channel_id=channel_id),
        )

    async def admins(self, tenant_id: str) -> Collection[str]:
        made = await self._transactions.session(
            tenant_id, lambda session, _: tenants.settings(session, tenant_id=tenant_id)
        )
        return made.admins
