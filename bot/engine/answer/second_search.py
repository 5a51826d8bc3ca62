"""Searches a second time for what the passages lack, if the strong model names it.

Only for questions that one search may not answer: those with parts, and those whose words no single passage has. There
are at most ``MAX_SEARCHES`` for a question, in two rounds. If anything fails, the answer uses the first passages. The
model returns only texts to search for within the asker's scope, so instructions in passages have no other effect.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from bot.engine import user_messages
from bot.engine.answer import prompt, retrieval
from bot.engine.answer.attempt_state import Attempt, Journal, cache_key_of
from bot.engine.answer.context import Context
from bot.engine.answer.generation import Material
from bot.engine.answer.query import same_words
from bot.engine.answer.retrieval import Evidence
from bot.engine.display.stream import Display
from bot.engine.ports.search_planner import SearchPlan, SearchPlanner
from bot.errors import LLMError, OverBudget, for_operator
from bot.types.display import Activity
from knowledge.errors import KnowledgeError
from knowledge.question_part_merging import merged
from knowledge.search.evidence_confidence import words_in_one_passage

log = logging.getLogger(__name__)

MAX_SEARCHES = 6
"""Searches for a question in both rounds."""
MAX_MORE = 3
"""Searches of the second round."""
SECONDS = 10.0
"""Timeout of the second round: of the model's plan and of the searches."""
MIN_WORDS = 3
"""A question of fewer words names too little to need several searches."""
MOST_WORDS_SHARE = 0.8
"""A passage with this share of the question's words is taken to be about all of it."""


async def search_again(context: Context, attempt: Attempt, material: Material, display: Display) -> Material:
    """Return the material with what a second round of searches finds; unchanged if none is needed or possible.

    Raises StoreAway.
    """
    evidence, planner, journal = material.evidence, context.planner, attempt.journal
    if planner is None or material.route.tier != "strong" or await _is_simple(attempt, evidence):
        return material
    try:
        async with asyncio.timeout(SECONDS):
            with _timed(context, journal, "plan"):
                plan = await _plan(context, attempt, evidence, planner)
            searches = _usable(plan, _searched(attempt, evidence))
            if not searches:
                return material
            display.activity.show(Activity(user_messages.is_searching_again(len(searches))))
            with _timed(context, journal, "second search"):
                evidence = await _search(context, material, searches)
    except TimeoutError:
        journal.events.append(f"the second round of searches took longer than {SECONDS:g} s")
        return material
    except (LLMError, KnowledgeError, OverBudget) as error:
        reason = error.kind if isinstance(error, LLMError) else for_operator(error)
        log.info("turn %s: not searched again: %s", attempt.turn.id, reason)
        journal.events.append(f"no second round of searches ({reason})")
        return material
    journal.events.append(f"searched again, because this was missing: {plan.missing or 'not named'}")
    context.telemetry.search_ended(attempt.turn, evidence.found, journal.timings_ms["second search"])
    return replace(material, evidence=evidence)


@contextmanager
def _timed(context: Context, journal: Journal, name: str) -> Iterator[None]:
    """Record in the journal how long a block takes, in milliseconds."""
    start = context.monotonic()
    try:
        yield
    finally:
        journal.timings_ms[name] = context.since(start)


async def _is_simple(attempt: Attempt, evidence: Evidence) -> bool:
    """Return whether one search is enough: nothing is to be found, or one passage is about all that the question names.

    A search that found nothing is not repeated: the documents were judged not to contain the answer.
    """
    query = evidence.query
    if evidence.overview or evidence.found is None or not evidence.passages:
        return True
    if query.parts:
        return False
    texts = [" ".join((one.title, *one.heading, one.text)) for one in evidence.passages]
    count, share = await asyncio.to_thread(words_in_one_passage, query.expanded, texts)
    return count < MIN_WORDS or share >= MOST_WORDS_SHARE


def _searched(attempt: Attempt, evidence: Evidence) -> tuple[str, ...]:
    return evidence.query.searched(attempt.turn.question)


async def _plan(context: Context, attempt: Attempt, evidence: Evidence, planner: SearchPlanner) -> SearchPlan:
    """Ask the model what is missing, if today's remaining tokens suffice for this call and a whole answer.

    Raises LLMError, OverBudget.
    """
    searched = _searched(attempt, evidence)
    most = min(MAX_MORE, MAX_SEARCHES - len(searched))
    if most < 1:
        return SearchPlan()
    key = cache_key_of(attempt.turn.thread)
    request = planner.prompt(evidence.query.expanded, evidence.passages, searched, most=most, cache_key=key)
    accounting, settings = attempt.accounting, context.settings
    need = prompt.size(request, context.count) + request.max_tokens
    need += accounting.spent + settings.prompt_tokens + settings.answer_tokens
    if not context.free and (accounting.reservation is None or any(state.left < need for state in accounting.limits)):
        attempt.journal.events.append("no second round of searches: too few tokens are left today")
        return SearchPlan()
    return await planner(request, meter=accounting)


def _usable(plan: SearchPlan, searched: Sequence[str]) -> tuple[str, ...]:
    """Return the searches of a plan that ask for something, each once, without what was searched already."""
    known, usable = list(searched), list[str]()
    for one in plan.searches:
        if any(map(str.isalnum, one)) and not any(same_words(one, other) for other in known):
            known.append(one)
            usable.append(one)
    return tuple(usable[: min(MAX_MORE, MAX_SEARCHES - len(searched))])


async def _search(context: Context, material: Material, searches: Sequence[str]) -> Evidence:
    """Return the evidence of both rounds: the passages by their rank in each search. Raises knowledge errors."""
    evidence, k = material.evidence, context.settings.passages
    first = evidence.found
    assert first is not None  # a question without a search is simple
    more = await asyncio.gather(*(context.search(one, evidence.query.scope, k=k) for one in searches))
    both = replace(merged(first, more, max(k, len(first.passages))), part_passages=first.part_passages)
    judged = retrieval.judge(context, evidence.query, both, material.attachments)
    return replace(judged, searched_again=tuple(searches))
