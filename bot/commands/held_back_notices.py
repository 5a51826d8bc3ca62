"""Notifies the source's owner and the admins once, by direct message, that a refresh was held back.

The processes of each platform notify its own users.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncSession

from bot.commands import docs_user_messages
from bot.commands.admin_notices import AdminMessenger, ButtonNotice, NoticeButton, tell_admins
from bot.commands.services import Services
from bot.commands.tenants_one_by_one import for_each_tenant
from bot.store.database.advisory_locks import only_one
from knowledge.store import held_back_sources
from knowledge.store.held_back_sources import HeldBack


class Messenger(AdminMessenger, Protocol):
    """Sends direct messages to the people of the tenants that this process serves."""

    async def served(self) -> Sequence[str]:
        """Return the tenants that this process serves. Raises ParleyError."""


async def tell_everywhere(services: Services, messenger: Messenger) -> None:
    """Tell people of all tenants that the platform serves. Raises ParleyError, StoreAway.

    While nothing is held back, this is one statement, however many tenants there are. The failure of one
    tenant does not stop the others.
    """
    served = await messenger.served()
    async with services.database.queue() as session:
        tenants_to_tell = await held_back_sources.tenants_not_told(session, tenants=served, platform=messenger.platform)
    await for_each_tenant("telling people about held-back sources", tenants_to_tell, partial(tell, services, messenger))


async def tell(services: Services, messenger: Messenger, tenant_id: str) -> None:
    """Tell people about each source of the tenant that is held back, once. Raises ParleyError, StoreAway.

    A source about which nobody could be told stays for the next time.
    """
    async with only_one(services.database, f"parley held back {tenant_id} {messenger.platform}") as acquired:
        for source in await _not_told(services, messenger, tenant_id) if acquired else ():
            notice = _notice(source)
            if not await tell_admins(services, messenger, tenant_id, notice, first=source.added_by or ""):
                continue

            async def mark(session: AsyncSession, source_id: str = source.source_id) -> None:
                await held_back_sources.mark_told(
                    session, tenant_id=tenant_id, source_id=source_id, platform=messenger.platform
                )

            await services.database.run(tenant_id, mark)


async def _not_told(services: Services, messenger: Messenger, tenant_id: str) -> list[HeldBack]:
    async with services.database.tenant(tenant_id) as session:
        return await held_back_sources.not_told(session, tenant_id=tenant_id, platform=messenger.platform)


def _notice(source: HeldBack) -> ButtonNotice:
    return ButtonNotice(
        text=docs_user_messages.held_back(source.uri, source.reason),
        buttons=(NoticeButton(docs_user_messages.ACCEPT_REMOVALS, "accept", source.source_id, destructive=True),),
        elsewhere=docs_user_messages.HOW_TO_ACCEPT,
    )
