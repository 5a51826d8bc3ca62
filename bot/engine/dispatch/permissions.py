"""Who a person is where it matters whether they are an admin."""

from __future__ import annotations

from dataclasses import replace

from bot.engine.ports.store import Store
from bot.types.conversation import Author
from bot.types.turns import Turn


async def in_full(store: Store, by: Author, tenant_id: str) -> Author:
    """The person, an admin also where one has been made here with ``/admin grant``. Raises StoreAway."""
    if by.is_admin:
        return by
    return replace(by, is_admin=by.id in await store.admins(tenant_id))


async def may_act(store: Store, turn: Turn, by: Author) -> bool:
    """Whether it is the person's own turn, or they are an admin. Raises StoreAway."""
    return by.id == turn.author.id or (await in_full(store, by, turn.thread.tenant_id)).is_admin
