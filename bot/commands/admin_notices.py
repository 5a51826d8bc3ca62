"""Sends people direct messages with buttons that run a command for them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from bot.commands.services import Services
from bot.errors import ParleyError
from bot.store import tenants
from bot.types.conversation import Platform

log = logging.getLogger(__name__)

MAX_TOLD = 20
"""Most people who get a notice: those who are named first, then the admins."""

NoticeAction = Literal["accept", "save", "verify"]
"""What a button runs: ``/docs ACTION VALUE``."""


@dataclass(frozen=True, slots=True)
class NoticeButton:
    """A button below a notice, which runs its action for the person who presses it."""

    label: str
    action: NoticeAction
    value: str
    destructive: bool = False


@dataclass(frozen=True, slots=True)
class ButtonNotice:
    """A text with buttons, or with none. ``elsewhere`` says how to do the same where buttons cannot be shown."""

    text: str
    buttons: tuple[NoticeButton, ...]
    elsewhere: str


class AdminMessenger(Protocol):
    """Sends direct messages on one platform."""

    platform: Platform

    async def admins(self, tenant_id: str) -> Sequence[str]:
        """Return the people whom the platform names as admins. Raises ParleyError."""

    def is_person(self, user_id: str) -> bool:
        """Return whether this is the ID of a person on the platform."""

    async def send(self, tenant_id: str, user_id: str, notice: ButtonNotice) -> None:
        """Send the notice. Raises ParleyError."""


async def tell_admins(
    services: Services, messenger: AdminMessenger, tenant_id: str, notice: ButtonNotice, *, first: str = ""
) -> bool:
    """Send a notice to ``first`` and to the admins; return False if there are people and none could be told.

    Admins are those by ``/admin grant``, PARLEY_ADMINS and the platform. Raises ParleyError, StoreAway.
    """
    async with services.database.tenant(tenant_id) as session:
        granted = (await tenants.settings(session, tenant_id=tenant_id)).admins
    configured = (one.removeprefix(f"{messenger.platform}:") for one in services.settings.admins)
    found = dict.fromkeys((first, *granted, *configured, *await messenger.admins(tenant_id)))
    told = [await is_told(messenger, tenant_id, one, notice) for one in _people(messenger, found)]
    return any(told) or not told


async def is_told(messenger: AdminMessenger, tenant_id: str, person: str, notice: ButtonNotice) -> bool:
    """Send a notice to one person, and return whether that succeeded."""
    try:
        await messenger.send(tenant_id, person, notice)
    except ParleyError as error:
        label = notice.buttons[0].label if notice.buttons else "without buttons"
        log.warning("the notice %r could not be sent to %s: %s", label, person, error)
        return False
    return True


def _people(messenger: AdminMessenger, found: dict[str, None]) -> list[str]:
    return list(filter(messenger.is_person, found))[:MAX_TOLD]
