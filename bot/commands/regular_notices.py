"""Sends the notices that no event triggers, at regular intervals: each platform runs this for its own people."""

from __future__ import annotations

import asyncio
import logging

from bot.commands import changed_answer_notices, cost_alert_notices, held_back_notices, stale_answer_notices
from bot.commands.changed_answer_notices import ThreadMessenger
from bot.commands.services import Services
from bot.errors import for_operator, unforeseen

log = logging.getLogger(__name__)

NOTICE_SECONDS = 60.0
"""Seconds between two searches for something to tell."""
_KINDS = {
    "held-back sources": held_back_notices.tell_everywhere,
    "cost alerts": cost_alert_notices.tell_everywhere,
    "verified answers that are out of date": stale_answer_notices.tell_everywhere,
    "changes of what answers cite": changed_answer_notices.tell_everywhere,
}


async def tell_regularly(services: Services, messenger: ThreadMessenger, seconds: float = NOTICE_SECONDS) -> None:
    """Tell people what they should know, every ``seconds``, until cancelled."""
    while True:
        await asyncio.sleep(seconds)
        for name, tell in _KINDS.items():
            try:
                await tell(services, messenger)
            except Exception as error:
                log.warning("%s could not be announced: %s", name, for_operator(error), exc_info=unforeseen(error))
