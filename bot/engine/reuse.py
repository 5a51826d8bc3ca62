"""An earlier answer in place of a call: the same words, the same question in other words, or one being given now."""

from __future__ import annotations

import asyncio
import logging
import uuid

from bot.engine import words
from bot.engine.cache.hits import agree, is_hit
from bot.engine.cache.port import Near, NearAnswers
from bot.engine.means import Means
from bot.engine.run import Run
from bot.errors import ParleyError
from bot.types import CachedAnswer

log = logging.getLogger(__name__)

LOOK = 0.2
"""Seconds between two looks for an answer that another turn is about to give."""


async def earlier(means: Means, run: Run, key: str, ground: str) -> bool:
    """Whether the run has its answer now. A hit of the shadow sample is answered anew, and compared afterwards."""
    if await _exact(means, run, key):
        return True
    near = means.near
    if near is None:
        return False
    hit = await _hit(near, run, ground)
    if hit is not None and is_sampled(run.turn.id, means.settings.cache_shadow):
        run.shadowed = hit
    elif hit is not None:
        await near.note(run.turn, hit, shadow=False)
        _give(run, hit.answer)
        return True
    return await _shared(means, near, run, key)


async def keep(means: Means, run: Run) -> None:
    """After the answer: let it be found by other words, and say whether a shadow hit would have been right."""
    if means.near is None or run.cache_key is None or run.state != "done" or run.cached_from is not None:
        return
    try:
        await means.near.keep(run.turn, run.cache_key, run.ground)
        if run.shadowed is not None:
            right = agree(run.answer, run.citations, run.shadowed.answer.answer, run.shadowed.answer.citations)
            await means.near.note(run.turn, run.shadowed, shadow=True, right=right)
    except ParleyError as error:
        log.warning("answer of turn %s cannot be found by other words: %s", run.turn.id, error)


def is_sampled(turn_id: str, share: float) -> bool:
    """Whether a turn is of the sample that is answered anew in spite of a hit: its id decides, the same every time."""
    return uuid.uuid5(uuid.NAMESPACE_OID, turn_id).int % 10_000 < share * 10_000


async def _exact(means: Means, run: Run, key: str) -> bool:
    known = await means.store.cached(run.scope.tenant_id, key)
    if known is not None:
        _give(run, known)
    return known is not None


async def _hit(near: NearAnswers, run: Run, ground: str) -> Near | None:
    found = await near.near(run.turn, ground)
    return next((one for one in found if is_hit(run.turn.question, one.question, one.similarity, one.observed)), None)


async def _shared(means: Means, near: NearAnswers, run: Run, key: str) -> bool:
    """Wait for the turn that is answering the same question, if there is one; where it fails, this one answers."""
    while not await near.take_off(run.turn, key):
        await asyncio.sleep(LOOK)
        if await _exact(means, run, key):
            return True
    return await _exact(means, run, key)


def _give(run: Run, known: CachedAnswer) -> None:
    run.answer, run.citations, run.cached_from = known.answer, known.citations, known.turn_id
    run.notes.append(words.FROM_CACHE)
