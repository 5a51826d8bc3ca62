"""Tells the owner of a verified answer once, by direct message, that it is out of date and no longer given."""

from __future__ import annotations

from functools import partial

from sqlalchemy.ext.asyncio import AsyncSession

from bot.commands import verified_user_messages
from bot.commands.admin_notices import AdminMessenger, ButtonNotice, NoticeButton, is_told, tell_admins
from bot.commands.held_back_notices import Messenger
from bot.commands.services import Services
from bot.commands.tenants_one_by_one import for_each_tenant
from bot.commands.verified_answers import SHORT_CHARS, WITHOUT_CHANNELS
from bot.store.database.advisory_locks import only_one
from bot.store.verified_answers import staleness
from bot.types.verified_answers import VerifiedAnswer


async def tell_everywhere(services: Services, messenger: Messenger) -> None:
    """Tell the owners in all tenants that the platform serves. Raises ParleyError, StoreAway.

    While nothing is out of date, this is one statement, however many tenants there are. The failure of one
    tenant does not stop the others.
    """
    served = await messenger.served()
    async with services.database.queue() as session:
        tenants_to_tell = await staleness.tenants_not_told(session, tenants=served)
    await for_each_tenant("telling owners about verified answers", tenants_to_tell, partial(tell, services, messenger))


async def tell(services: Services, messenger: AdminMessenger, tenant_id: str) -> None:
    """Tell the owner of each answer that is out of date. An owner who could not be told is told the next time.

    The admins are told in place of an owner who has no direct messages, such as that of the terminal. Raises
    ParleyError, StoreAway.
    """
    async with only_one(services.database, f"parley stale answers {tenant_id}") as acquired:
        if not acquired:
            return
        async with services.database.tenant(tenant_id) as session:
            waiting = await staleness.not_told(session, tenant_id=tenant_id)
        for known in waiting:
            if known.platform not in (messenger.platform, *WITHOUT_CHANNELS):
                continue
            if not await _is_told(services, messenger, tenant_id, known):
                continue

            async def mark(session: AsyncSession, answer_id: str = known.id) -> None:
                await staleness.mark_told(session, tenant_id=tenant_id, answer_id=answer_id)

            await services.database.run(tenant_id, mark)


async def _is_told(services: Services, messenger: AdminMessenger, tenant_id: str, known: VerifiedAnswer) -> bool:
    notice = _notice(known)
    if known.platform == messenger.platform and messenger.is_person(known.owner_id):
        return await is_told(messenger, tenant_id, known.owner_id, notice)
    return await tell_admins(services, messenger, tenant_id, notice)


def _notice(known: VerifiedAnswer) -> ButtonNotice:
    return ButtonNotice(
        text=verified_user_messages.out_of_date(known.questions[0], known.stale),
        buttons=(NoticeButton(verified_user_messages.VERIFY_AGAIN, "verify", known.id),),
        elsewhere=verified_user_messages.how_to_verify(known.id[:SHORT_CHARS]),
    )
