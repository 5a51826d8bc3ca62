"""Delivers a whole answer as a file, where it is too long for the messages of a platform."""

from __future__ import annotations

import logging
from functools import partial

from bot.engine import user_messages
from bot.engine.display.final_retry import FinalRetry
from bot.engine.display.output_filter import sanitize
from bot.engine.ports.surface import FileDelivery
from bot.errors import SurfaceError

log = logging.getLogger(__name__)

FILE_SECONDS = 30.0
"""Timeout for the upload."""


async def deliver(file: FileDelivery, text: str, links: frozenset[str], retry: FinalRetry, turn_id: str) -> bool:
    """Upload the whole text as a file, and return whether that succeeded."""
    content = sanitize(text, links).encode()
    upload = partial(file.hand_over, user_messages.WHOLE_ANSWER, content)
    try:
        await retry.run(upload, retry.deadline(FILE_SECONDS))
    except SurfaceError as error:
        log.warning("turn %s: the file with the whole answer could not be uploaded: %s", turn_id, error)
        return False
    return True
