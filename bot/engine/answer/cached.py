"""An earlier answer in place of a call: the same words, the same question in other words, or one being given now."""

from __future__ import annotations

import asyncio
import logging
import uuid

from bot.engine import cache, user_messages
from bot.engine.answer.context import Context
from bot.engine.answer.run import Run
from bot.engine.cache.matching import agree, is_hit
from bot.engine.cache.near_answers import SimilarAnswer, SimilarAnswers
from bot.errors import ParleyError
from bot.types.answer_cache import CachedAnswer, CacheNote
from knowledge.errors import KnowledgeError
from knowledge.types import Found

log = logging.getLogger(__name__)

LOOK = 0.2
"""Seconds between two looks for an answer that another turn is about to give."""


async def earlier(context: Context, run: Run, key: str, ground: str) -> bool:
    """Whether the run has its answer now. A hit of the shadow sample is answered anew, and compared afterwards."""
    if await _exact(context, run, key):
        return True
    near = context.near
    if near is None:
        return False
    hit = await _hit(context, near, run, ground)
    if hit is not None and is_sampled(run.turn.id, context.settings.cache_shadow):
        run.shadowed = hit
    elif hit is not None:
        await near.note(run.turn, hit, shadow=False)
        _give(run, hit.answer)
        return True
    return await _shared(context, near, run, key)


async def keep(context: Context, run: Run) -> None:
    """After the answer: let it be found by other words, and say whether a shadow hit would have been right."""
    if context.near is None or run.cache_key is None or run.state != "done" or run.cached_from is not None:
        return
    try:
        await context.near.keep(run.turn, run.cache_key, run.ground)
        if run.shadowed is not None:
            right = agree(run.answer, run.citations, run.shadowed.answer.answer, run.shadowed.answer.citations)
            await context.near.note(run.turn, run.shadowed, shadow=True, right=right)
    except ParleyError as error:
        log.warning("answer of turn %s cannot be found by other words: %s", run.turn.id, error)


def keeping(run: Run) -> CacheNote:
    """What is noted with the run's answer, should it be kept."""
    if run.found is None:
        return CacheNote(run.turn.question)
    lasting = cache.lasting(run.turn.question, run.answer, run.citations)
    return CacheNote(run.turn.question, cache.evidence(run.found), run.found.knowledge_version, lasting)


def is_sampled(turn_id: str, share: float) -> bool:
    """Whether a turn is of the sample that is answered anew in spite of a hit: its id decides, the same every time."""
    return uuid.uuid5(uuid.NAMESPACE_OID, turn_id).int % 10_000 < share * 10_000


async def _exact(context: Context, run: Run, key: str) -> bool:
    known = await context.store.cached(run.scope.tenant_id, key)
    if known is None or not await _stands(context, run, known):
        return False
    _give(run, known)
    return True


async def _stands(context: Context, run: Run, known: CachedAnswer) -> bool:
    """Whether a new answer would be made from the same ground: nothing has changed, or nothing that its question finds.

    An answer that cites a changed document is gone whatever its question finds.
    """
    if known.current or not known.intact or not known.evidence:
        return known.current
    try:
        found = await _finds(context, run, known.question)
    except KnowledgeError as error:
        log.warning("turn %s: an earlier answer cannot be checked: %s", run.turn.id, error)
        return False
    if cache.evidence(found) != known.evidence:
        return False
    await context.store.still_stands(run.scope.tenant_id, known, found.knowledge_version)
    return True


async def _hit(context: Context, near: SimilarAnswers, run: Run, ground: str) -> SimilarAnswer | None:
    for one in await near.near(run.turn, ground):
        same = is_hit(run.turn.question, one.question, one.similarity, one.observed)
        if same and await _stands(context, run, one.answer):
            return one
    return None


async def _shared(context: Context, near: SimilarAnswers, run: Run, key: str) -> bool:
    """Wait for the turn that is answering the same question, if there is one; where it fails, this one answers."""
    while not await near.take_off(run.turn, key):
        await asyncio.sleep(LOOK)
        if await _exact(context, run, key):
            return True
    return await _exact(context, run, key)


async def _finds(context: Context, run: Run, question: str) -> Found:
    """What the question finds now; the run's own is looked up once."""
    if question != run.turn.question:
        return await context.search(question, run.scope, k=context.settings.passages)
    if run.ahead is None:
        run.ahead = await context.search(question, run.scope, k=context.settings.passages)
    return run.ahead


def _give(run: Run, known: CachedAnswer) -> None:
    run.answer, run.citations, run.cached_from = known.answer, known.citations, known.turn_id
    run.notes.append(user_messages.FROM_CACHE)
