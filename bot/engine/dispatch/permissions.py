"""Checks whether a person is an admin or may act on a turn."""

from __future__ import annotations

from dataclasses import replace

from bot.engine.ports.settings import SettingsStore
from bot.types.conversation import Author
from bot.types.turns import Turn


async def with_granted_role(settings: SettingsStore, by: Author, tenant_id: str) -> Author:
    """Return the person as an admin if ``/admin grant`` made them one. Raises StoreAway.

    The grant does not count for guests and outsiders, such as people who have left.
    """
    if by.is_admin or by.standing in ("guest", "outsider"):
        return by
    return replace(by, is_admin=by.id in await settings.admins(tenant_id))


async def may_act(settings: SettingsStore, turn: Turn, by: Author) -> bool:
    """Return whether the turn is the person's own, or they are an admin. Raises StoreAway."""
    return by.id == turn.author.id or (await with_granted_role(settings, by, turn.thread.tenant_id)).is_admin
