"""What the answer rests on: an earlier answer to the same question, or passages of the documents."""

from __future__ import annotations

import logging

from bot.engine import cache, prompt, words
from bot.engine.evidence import shares_words
from bot.engine.means import PASSAGE_SHARE, Means
from bot.engine.run import Run
from bot.types import ChannelSettings, History
from knowledge.errors import KnowledgeError
from knowledge.types import Found

log = logging.getLogger(__name__)

WEAK_EVIDENCE = 0.1
"""Passages less likely than this to hold the answer, and without a word of the question, are not shown to the model."""


async def from_cache(means: Means, run: Run, settings: ChannelSettings, history: History) -> bool:
    """Only a question that opens a thread is looked up: later ones may mean something else."""
    if history.messages or history.summary or not run.route or not means.settings.answer_cache_hours:
        return False
    ground = cache.ground(
        scope=run.scope,
        knowledge_version=await means.search.version(run.scope.tenant_id),
        prompt_version=prompt.VERSION,
        model=run.route.model,
        persona=settings.persona,
    )
    run.cache_key = cache.key(run.turn.question, ground)
    if run.turn.fresh:
        return False
    known = await means.store.cached(run.scope.tenant_id, run.cache_key)
    if known is None:
        return False
    run.answer, run.citations, run.cached_from = known.answer, known.citations, known.turn_id
    run.notes.append(words.FROM_CACHE)
    return True


async def retrieve(means: Means, run: Run) -> None:
    """Passages for the question; a search that fails is told in a note, and the answer does without."""
    start = means.monotonic()
    try:
        run.found = await means.search(run.query, run.scope, k=means.settings.passages)
        if not _is_weak(run.query, run.found):
            run.passages = prompt.fitting(run.found.passages, means.share(PASSAGE_SHARE), means.count)
    except KnowledgeError as error:
        log.warning("turn %s: search failed: %s", run.turn.id, error)
        run.notes.append(words.NO_KNOWLEDGE)
    run.timings_ms["search"] = means.since(start)


def _is_weak(query: str, found: Found) -> bool:
    """Neither meaning nor words speak for any passage."""
    unlikely = found.confidence < WEAK_EVIDENCE
    return unlikely and not any(shares_words(query, f"{one.place} {one.text}") for one in found.passages)
