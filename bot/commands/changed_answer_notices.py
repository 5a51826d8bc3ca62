"""Tells a thread that what its answer cites has changed, once, where the channel wants that."""

from __future__ import annotations

import logging
from functools import partial
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncSession

from bot.commands import user_messages
from bot.commands.held_back_notices import Messenger
from bot.commands.services import Services
from bot.commands.tenants_one_by_one import for_each_tenant
from bot.engine.ports.surface import Surface
from bot.errors import ParleyError, PlatformAway, RateLimited, for_operator
from bot.store.database.advisory_locks import only_one
from bot.store.turns import changed_answers, turns
from bot.store.turns.changed_answers import ChangedAnswer
from bot.types.display import Part
from bot.types.turns import Turn

log = logging.getLogger(__name__)


class ThreadMessenger(Messenger, Protocol):
    """Sends messages to the threads of answers too."""

    def surface(self, turn: Turn) -> Surface:
        """Return where the reply to a turn is shown."""


async def tell_everywhere(services: Services, messenger: ThreadMessenger) -> None:
    """Tell the threads of all tenants that the platform serves. Raises ParleyError, StoreAway.

    If nobody is to be told, this is one statement, however many tenants there are. The failure of one tenant does not
    stop the others.
    """
    served = await messenger.served()
    async with services.database.queue() as session:
        waiting = await changed_answers.tenants_to_tell(session, tenants=served, platform=messenger.platform)
    await for_each_tenant("telling threads about changed answers", waiting, partial(_tell, services, messenger))


async def _tell(services: Services, messenger: ThreadMessenger, tenant_id: str) -> None:
    """Tell the threads of one tenant. A thread that cannot be written to any more is not tried again."""
    async with only_one(services.database, f"parley changed answers {tenant_id} {messenger.platform}") as acquired:
        if not acquired:
            return
        async with services.database.tenant(tenant_id) as session:
            waiting = await changed_answers.to_tell(session, tenant_id=tenant_id, platform=messenger.platform)
        for changed in waiting:
            try:
                await _post(services, messenger, tenant_id, changed)
            except (PlatformAway, RateLimited):
                raise
            except ParleyError as error:
                log.warning("the thread of answer %s cannot be told: %s", changed.turn_id, for_operator(error))

            async def mark(session: AsyncSession, turn_id: str = changed.turn_id) -> None:
                await changed_answers.mark_told(session, tenant_id=tenant_id, turn_id=turn_id)

            await services.database.run(tenant_id, mark)


async def _post(services: Services, messenger: ThreadMessenger, tenant_id: str, changed: ChangedAnswer) -> None:
    async with services.database.tenant(tenant_id) as session:
        turn = await turns.get(session, tenant_id=tenant_id, turn_id=changed.turn_id)
    if turn is None:
        return
    text = user_messages.answer_outdated(changed.documents)
    part = Part(text, f"{turn.id}-changed", turn.id, final=True, actions=("again",))
    await messenger.surface(turn).post(part)
