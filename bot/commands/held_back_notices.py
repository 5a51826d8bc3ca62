"""Tells people once, by direct message, that a reading of a source was held back.

Whoever added the source and the admins are told, each platform by its own processes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncSession

from bot.commands.services import Services
from bot.errors import ParleyError, for_operator, unforeseen
from bot.store import tenants
from bot.store.advisory_locks import only_one
from bot.types.conversation import Platform
from knowledge import held_back_sources
from knowledge.held_back_sources import HeldBack

log = logging.getLogger(__name__)

NOTICE_SECONDS = 60.0
"""Seconds between two searches for sources that are held back."""
MAX_TOLD = 20
"""Most people who are told about a source: whoever added it first, then the admins."""


class Messenger(Protocol):
    """Sends direct messages on one platform."""

    platform: Platform

    async def served(self) -> Sequence[str]:
        """Return the tenants that this process serves. Raises ParleyError."""

    async def admins(self, tenant_id: str) -> Sequence[str]:
        """Return the people whom the platform names as admins. Raises ParleyError."""

    def is_person(self, user_id: str) -> bool:
        """Return whether this is the ID of a person on the platform."""

    async def send(self, tenant_id: str, user_id: str, held_back: HeldBack) -> None:
        """Send the notice, with a button that runs ``/docs accept ID``. Raises ParleyError."""


async def tell_regularly(services: Services, messenger: Messenger, seconds: float = NOTICE_SECONDS) -> None:
    """Tell people about sources that are held back, every ``seconds``, until cancelled."""
    while True:
        await asyncio.sleep(seconds)
        try:
            await tell_everywhere(services, messenger)
        except Exception as error:
            log.warning("held-back sources could not be announced: %s", for_operator(error), exc_info=unforeseen(error))


async def tell_everywhere(services: Services, messenger: Messenger) -> None:
    """Tell people of all tenants that the platform serves. Raises ParleyError, StoreAway.

    While nothing is held back, this is one statement, however many tenants there are.
    """
    served = await messenger.served()
    async with services.database.queue() as session:
        tenants_to_tell = await held_back_sources.tenants_not_told(session, tenants=served, platform=messenger.platform)
    for tenant_id in tenants_to_tell:
        await tell(services, messenger, tenant_id)


async def tell(services: Services, messenger: Messenger, tenant_id: str) -> None:
    """Tell people about each source of the tenant that is held back, once. Raises ParleyError, StoreAway.

    A source about which nobody could be told stays for the next time.
    """
    async with only_one(services.database, f"parley held back {tenant_id} {messenger.platform}") as acquired:
        for source in await _not_told(services, messenger, tenant_id) if acquired else ():
            people = await _people(services, messenger, tenant_id, source)
            told = [await _is_sent(messenger, tenant_id, person, source) for person in people]
            if told and not any(told):
                continue

            async def mark(session: AsyncSession, source_id: str = source.source_id) -> None:
                await held_back_sources.mark_told(
                    session, tenant_id=tenant_id, source_id=source_id, platform=messenger.platform
                )

            await services.database.run(tenant_id, mark)


async def _not_told(services: Services, messenger: Messenger, tenant_id: str) -> list[HeldBack]:
    async with services.database.tenant(tenant_id) as session:
        return await held_back_sources.not_told(session, tenant_id=tenant_id, platform=messenger.platform)


async def _people(services: Services, messenger: Messenger, tenant_id: str, source: HeldBack) -> list[str]:
    """Return whoever added the source, and the admins by ``/admin grant``, PARLEY_ADMINS and the platform."""
    async with services.database.tenant(tenant_id) as session:
        granted = (await tenants.settings(session, tenant_id=tenant_id)).admins
    configured = (one.removeprefix(f"{messenger.platform}:") for one in services.settings.admins)
    found = (source.added_by or "", *granted, *configured, *await messenger.admins(tenant_id))
    return list(filter(messenger.is_person, dict.fromkeys(found)))[:MAX_TOLD]


async def _is_sent(messenger: Messenger, tenant_id: str, person: str, source: HeldBack) -> bool:
    try:
        await messenger.send(tenant_id, person, source)
    except ParleyError as error:
        log.warning("%s could not be told about a held-back source: %s", person, error)
        return False
    return True
