"""Sends the notices that no event triggers, at regular intervals: each platform runs this for its own people."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from bot.commands import changed_answer_notices, cost_alert_notices, gap_digest, held_back_notices, stale_answer_notices
from bot.commands.changed_answer_notices import ThreadMessenger
from bot.commands.gap_digest import ChannelMessenger
from bot.commands.services import Services
from bot.errors import for_operator, unforeseen

log = logging.getLogger(__name__)


class PlatformMessenger(ThreadMessenger, ChannelMessenger, Protocol):
    """Sends all kinds of notices."""


NOTICE_SECONDS = 60.0
"""Seconds between two searches for something to tell."""
_KINDS: Mapping[str, Callable[[Services, PlatformMessenger], Awaitable[None]]] = {
    "held-back sources": held_back_notices.tell_everywhere,
    "cost alerts": cost_alert_notices.tell_everywhere,
    "verified answers that are out of date": stale_answer_notices.tell_everywhere,
    "changes of what answers cite": changed_answer_notices.tell_everywhere,
    "weekly digests": gap_digest.tell_everywhere,
}


async def tell_regularly(services: Services, messenger: PlatformMessenger, seconds: float = NOTICE_SECONDS) -> None:
    """Tell people what they should know, every ``seconds``, until cancelled."""
    while True:
        await asyncio.sleep(seconds)
        for name, tell in _KINDS.items():
            try:
                await tell(services, messenger)
            except Exception as error:
                log.warning("%s could not be announced: %s", name, for_operator(error), exc_info=unforeseen(error))
