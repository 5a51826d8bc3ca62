"""Tells the admins once, by direct message, that a day is unusually expensive or the team's budget nearly used up."""

from __future__ import annotations

from datetime import date, timedelta
from functools import partial

from sqlalchemy.ext.asyncio import AsyncSession

from bot.commands import budget_user_messages
from bot.commands.admin_notices import AdminMessenger, ButtonNotice, tell_admins
from bot.commands.held_back_notices import Messenger
from bot.commands.services import Services
from bot.commands.tenants_one_by_one import for_each_tenant
from bot.store.budgets import cost_alerts
from bot.store.budgets.cost_alerts import CostAlert
from bot.store.database.advisory_locks import only_one

TOLD_DAYS = 1
"""Days back whose alerts are still told, if no process could tell them before."""


async def tell_everywhere(services: Services, messenger: Messenger) -> None:
    """Tell the admins of all tenants that the platform serves. Raises ParleyError, StoreAway.

    While there is nothing to tell, this is one statement, however many tenants there are. The failure of one
    tenant does not stop the others.
    """
    served = await messenger.served()
    async with services.database.queue() as session:
        tenants_to_tell = await cost_alerts.tenants_not_told(
            session, tenants=served, platform=messenger.platform, day=_first_day(services)
        )
    await for_each_tenant("telling admins about costs", tenants_to_tell, partial(tell, services, messenger))


async def tell(services: Services, messenger: AdminMessenger, tenant_id: str) -> None:
    """Tell the admins of a tenant about each alert, once. Raises ParleyError, StoreAway.

    An alert about which nobody could be told stays for the next time.
    """
    async with only_one(services.database, f"parley cost alerts {tenant_id} {messenger.platform}") as acquired:
        if not acquired:
            return
        async with services.database.tenant(tenant_id) as session:
            waiting = await cost_alerts.not_told(
                session, tenant_id=tenant_id, platform=messenger.platform, day=_first_day(services)
            )
        for alert in waiting:
            notice = ButtonNotice(budget_user_messages.cost_alert(alert), (), "")
            if not await tell_admins(services, messenger, tenant_id, notice):
                continue

            async def mark(session: AsyncSession, alert: CostAlert = alert) -> None:
                await cost_alerts.mark_told(session, tenant_id=tenant_id, platform=messenger.platform, alert=alert)

            await services.database.run(tenant_id, mark)


def _first_day(services: Services) -> date:
    return services.clock().date() - timedelta(days=TOLD_DAYS)
