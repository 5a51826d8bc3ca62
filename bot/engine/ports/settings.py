"""Port to the settings that admins change at run time."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from bot.types.conversation import ThreadKey
from bot.types.settings import ChannelSettings


class SettingsStore(Protocol):
    """Reads channel and tenant settings. Every method may raise StoreAway."""

    async def channel_settings(self, thread: ThreadKey) -> ChannelSettings:
        """Return how the bot behaves in the thread's channel."""

    async def admins(self, tenant_id: str) -> Collection[str]:
        """Return the ids of people made admins with ``/admin grant``."""
