"""Reuses a cached answer to the same or an equivalent question, or waits for one that is being written.

Only a question that opens a thread is looked up: later ones may mean something else. A message that asks nothing has no
answer to reuse.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from dataclasses import dataclass, field, replace

from bot.engine import cache, user_messages
from bot.engine.answer import prompt
from bot.engine.answer.attempt_state import Attempt
from bot.engine.answer.citations import Resolved
from bot.engine.answer.context import Context
from bot.engine.answer.query import Query, find
from bot.engine.answer.question_context import Attachments
from bot.engine.cache.matching import agree, is_hit
from bot.engine.ports.answer_cache import SimilarAnswer, SimilarAnswers
from bot.errors import ParleyError, for_operator
from bot.types.answer_cache import CachedAnswer, CacheNote
from bot.types.turns import Outcome, Turn, TurnRecord
from bot.types.usage import Route
from knowledge.errors import KnowledgeError
from knowledge.types.search_results import Found

log = logging.getLogger(__name__)

POLL_SECONDS = 0.2
"""Seconds between two looks for an answer that another turn is writing."""


@dataclass(frozen=True, slots=True)
class CacheLookup:
    """The result of a lookup. ``key`` names the entry to store the answer under, None to store none.

    ``hit`` is the answer to give. ``shadow`` is a hit of the shadow sample: the question is answered again and the
    two answers are compared. ``found`` is what the question finds, if that had to be looked up.
    """

    key: str | None = None
    ground: str = ""
    hit: CachedAnswer | None = None
    shadow: SimilarAnswer | None = None
    found: Found | None = None


def answer_of(attempt: Attempt, lookup: CacheLookup) -> Resolved:
    """Return the cached answer of a lookup that found one, with a note that says so."""
    assert lookup.hit is not None
    attempt.journal.notes.append(user_messages.FROM_CACHE)
    return Resolved(lookup.hit.answer, lookup.hit.citations)


@dataclass(slots=True)
class _Lookup:
    """A lookup in progress. It searches for each question at most once: ``searched`` holds the results."""

    context: Context
    turn: Turn
    query: Query
    key: str
    ground: str
    searched: dict[str, Found] = field(default_factory=dict)

    async def exact(self) -> CachedAnswer | None:
        known = await self.context.stores.answers.cached(self.query.scope.tenant_id, self.key)
        return known if known is not None and await self._holds(known) else None

    async def similar(self, similar: SimilarAnswers) -> SimilarAnswer | None:
        for one in await similar.near(self.turn, self.ground):
            same = is_hit(self.turn.question, one.question, one.similarity, one.observed)
            if same and await self._holds(one.answer):
                return one
        return None

    async def shared(self, similar: SimilarAnswers) -> CachedAnswer | None:
        """Wait for another turn that answers the same question, and return its answer.

        Return None if this turn must answer.
        """
        while not await similar.claim_question(self.turn, self.key):
            await asyncio.sleep(POLL_SECONDS)
            if (known := await self.exact()) is not None:
                return known
        return await self.exact()

    async def _holds(self, known: CachedAnswer) -> bool:
        """Return whether a cached answer is still valid: its question finds the same evidence as before.

        An answer that cites a changed document is never valid, nor one whose citations lack a note that their documents
        have by now, such as “superseded since ...”: a day may have passed, which changes no document.
        """
        if not await self._has_todays_notes(known):
            return False
        if known.current or not known.intact or not known.evidence:
            return known.current
        try:
            found = await self._find(known.question)
        except KnowledgeError as error:
            log.warning("turn %s: a cached answer cannot be checked: %s", self.turn.id, for_operator(error))
            return False
        if cache.evidence(found) != known.evidence:
            return False
        answers = self.context.stores.answers
        await answers.mark_current(self.query.scope.tenant_id, known, found.knowledge_version)
        return True

    async def _has_todays_notes(self, known: CachedAnswer) -> bool:
        shown = {one.document_id: one.title for one in known.citations if one.document_id}
        if not shown:
            return True
        now = await self.context.stores.answers.titles(self.query.scope.tenant_id, list(shown))
        return all(now.get(document, title) == title for document, title in shown.items())

    async def _find(self, question: str) -> Found:
        if question not in self.searched:
            self.searched[question] = await find(self.context, question, self.query.scope)
        return self.searched[question]


async def look_up(
    context: Context, attempt: Attempt, query: Query, route: Route, record: TurnRecord, attachments: Attachments
) -> CacheLookup:
    """Look for an earlier answer to the question, or wait for one that another turn is writing."""
    turn, similar, history = attempt.turn, context.similar, record.history
    if turn.fresh and similar is not None:
        await similar.asked_afresh(turn)
    if query.asks_nothing or not context.settings.answer_cache_hours:
        return CacheLookup()
    if history.messages or history.summary or attachments.context:
        return CacheLookup()
    ground = cache.ground(
        scope=query.scope,
        prompt_version=prompt.VERSION,
        model=route.model,
        persona=record.settings.persona,
        only_for=turn.author.id if turn.thread.private else None,
    )
    lookup = _Lookup(context, turn, query, cache.key(turn.question, ground), ground)
    if turn.fresh:
        return CacheLookup(lookup.key, ground)
    result = await _search(context, similar, lookup)
    return replace(result, key=lookup.key, ground=ground, found=lookup.searched.get(turn.question))


async def _search(context: Context, similar: SimilarAnswers | None, lookup: _Lookup) -> CacheLookup:
    if (known := await lookup.exact()) is not None or similar is None:
        return CacheLookup(hit=known)
    close, shadow = await lookup.similar(similar), None
    if close is not None and is_sampled(lookup.turn.id, context.settings.cache_shadow):
        shadow = close
    elif close is not None:
        await similar.note(lookup.turn, close, shadow=False)
        return CacheLookup(hit=close.answer)
    return CacheLookup(hit=await lookup.shared(similar), shadow=shadow)


def is_sampled(turn_id: str, share: float) -> bool:
    """Return whether a turn is in the shadow sample. Depends only on the turn's id, so a retry gets the same result."""
    return uuid.uuid5(uuid.NAMESPACE_OID, turn_id).int % 10_000 < share * 10_000


def note_for(turn: Turn, found: Found | None, outcome: Outcome) -> CacheNote:
    """Return the note to store with the answer. A later lookup uses it to check whether the answer is still valid."""
    if found is None:
        return CacheNote(turn.question)
    lifetime = cache.lifetime(turn.question, outcome.answer, outcome.citations)
    return CacheNote(turn.question, cache.evidence(found), found.knowledge_version, lifetime)


async def index(context: Context, turn: Turn, lookup: CacheLookup, outcome: Outcome) -> None:
    """After the answer, make it findable by meaning, and record whether a shadow hit would have been right."""
    similar = context.similar
    if similar is None or lookup.key is None or outcome.state != "done" or outcome.cached:
        return
    try:
        await similar.keep(turn, lookup.key, lookup.ground)
        if lookup.shadow is not None:
            shadow = lookup.shadow.answer
            right = agree(outcome.answer, outcome.citations, shadow.answer, shadow.citations)
            await similar.note(turn, lookup.shadow, shadow=True, right=right)
    except ParleyError as error:
        log.warning("answer of turn %s cannot be found by meaning: %s", turn.id, error)
