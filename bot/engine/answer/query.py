"""Turns a follow-up into a standalone question, and searches the documents with it.

The search with the thread's context starts at once. If the question depends on the thread and a cheap model is
configured, the model rewrites it concurrently, so little time is lost. If the model fails, the trace records it and the
search with the thread's context is used. The model returns only a query, a yes or no, and a language, so instructions
in old messages have no other effect.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, replace

from bot.engine.answer import prompt
from bot.engine.answer.attempt_state import Attempt, cache_key_of
from bot.engine.answer.context import Context
from bot.engine.answer.scope import scope_of
from bot.engine.memory import asked_before
from bot.engine.ports.rewriter import Rewritten
from bot.errors import LLMError
from bot.types.conversation import History
from bot.types.turns import Turn, TurnRecord
from knowledge.compound_questions import QuestionPart, parts_of
from knowledge.question_part_merging import merged
from knowledge.search.followup_queries import carried_words, leans_on_thread, with_carried_words
from knowledge.types.scope import TENANT_AUDIENCE, Scope
from knowledge.types.search_results import Found

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Query:
    """The question to answer, as it was asked or as a model rewrote it. ``scope`` limits the search.

    ``earlier`` are the thread's earlier questions, oldest first; none after a model has rewritten the question.
    ``parts`` are what is searched for beside the whole question, if one search cannot answer it.

    ``language`` is an ISO 639-1 code, or empty if unknown. ``needs_search`` is False if documents cannot help;
    ``asks_nothing`` if the message is small talk or only makes ``statements``. ``found_ahead`` is the question's search
    result, if the answer cache already searched for it.
    """

    question: str
    scope: Scope
    earlier: tuple[str, ...] = ()
    language: str = ""
    needs_search: bool = True
    asks_nothing: bool = False
    statements: tuple[str, ...] = ()
    found_ahead: Found | None = None
    parts: tuple[QuestionPart, ...] = ()

    @property
    def carried(self) -> tuple[str, ...]:
        """The words of earlier questions that the question leans on."""
        return carried_words(self.question, self.earlier)

    @property
    def expanded(self) -> str:
        """The question with the carried words: for matching words, not for showing."""
        return with_carried_words(self.question, self.earlier)

    @property
    def is_small_talk(self) -> bool:
        """Whether the message neither asks nor states anything."""
        return self.asks_nothing and not self.statements

    def searched(self, asked: str) -> tuple[str, ...]:
        """Return the different texts that are searched for a question: as ``asked``, as rewritten, and its parts."""
        return tuple(dict.fromkeys((asked, self.question, *(part.text for part in self.parts))))

    @property
    def tenant_wide(self) -> bool:
        """Whether the search includes the documents of the whole tenant."""
        return TENANT_AUDIENCE in self.scope.audiences

    def with_found(self, found: Found | None) -> Query:
        """Return the query with its search result, if the answer cache already has it."""
        return replace(self, found_ahead=found)


def initial_query(turn: Turn, record: TurnRecord) -> Query:
    """Return the question as asked, with the scope of documents that may answer it and the thread's earlier ones."""
    readable = scope_of(turn.thread, turn.audience, record.settings)
    return Query(turn.question, readable, asked_before(record.history))


async def search(context: Context, attempt: Attempt, query: Query, history: History) -> tuple[Query, Found | None]:
    """Return the rewritten query and its search result; None if no search was needed. Raises knowledge errors."""
    if not query.needs_search:
        return query, None
    question = attempt.turn.question
    plain = asyncio.ensure_future(_search(context, query, question, question, query.earlier))
    try:
        rewritten = await _rewrite(context, attempt, history)
        if rewritten is None:
            query = replace(query, parts=parts_of(question))
            if query.found_ahead is not None and not query.earlier:
                return query, query.found_ahead
            return query, await _with_parts(context, query, plain)
        parts = rewritten.parts or parts_of(rewritten.question)
        query = replace(query, question=rewritten.question, earlier=(), language=rewritten.language, parts=parts)
        if not rewritten.needs_search:
            attempt.journal.events.append("the model says that this needs no search")
            return replace(query, needs_search=False), None
        if same_words(rewritten.question, question):
            return query, await _with_parts(context, query, plain)
        found = await _with_parts(context, query, _search(context, query, question, rewritten.question))
        return query, max(found, await plain, key=lambda one: one.confidence)
    finally:
        if not plain.done():
            plain.cancel()
        await asyncio.gather(plain, return_exceptions=True)


async def find(context: Context, question: str, scope: Scope, *, parts: Sequence[QuestionPart] | None = None) -> Found:
    """Return what a question that opens a thread finds, with its ``parts`` or those that it shows itself.

    Raises knowledge errors.
    """
    query = Query(question, scope, parts=parts_of(question) if parts is None else tuple(parts))
    return await _with_parts(context, query, _search(context, query, question, question))


async def _with_parts(context: Context, query: Query, whole: Awaitable[Found]) -> Found:
    """Search for the parts of a question at the same time as for all of it, and merge what they find.

    A part that leans on the one before it, as “who approves that?” does, is searched with its words.
    """
    k, parts = context.settings.passages, query.parts
    before = [(), *((part.text,) for part in parts)]
    searches = (
        context.search(
            part.text, query.scope, k=k, earlier=(*query.earlier, *said) if leans_on_thread(part.text) else ()
        )
        for part, said in zip(parts, before, strict=False)
    )
    first, *others = await asyncio.gather(whole, *searches)
    return merged(first, others, k, whole_first=not all(part.is_question for part in parts))


async def _search(context: Context, query: Query, asked: str, question: str, earlier: Sequence[str] = ()) -> Found:
    if query.found_ahead is not None and question == asked and not earlier:
        return query.found_ahead
    return await context.search(question, query.scope, k=context.settings.passages, earlier=earlier)


async def _rewrite(context: Context, attempt: Attempt, history: History) -> Rewritten | None:
    """Rewrite the question as a standalone one. Return None if it already is one or if the model cannot be used."""
    rewriter, turn, journal = context.rewriter, attempt.turn, attempt.journal
    if rewriter is None or not history.messages or not leans_on_thread(turn.question):
        return None
    request = rewriter.prompt(turn.question, history.messages, cache_key=cache_key_of(turn.thread))
    need = prompt.size(request, context.count) + request.max_tokens
    accounting = attempt.accounting
    if accounting.reservation is None or any(state.left < 2 * need for state in accounting.limits):
        journal.events.append("the question was not rewritten by a model: too few tokens are left today")
        return None
    start = context.monotonic()
    try:
        return await rewriter(request, meter=accounting)
    except LLMError as error:
        log.info("turn %s: not rewritten: %s", turn.id, error)
        journal.events.append(f"the question was not rewritten by a model ({error.kind})")
        return None
    finally:
        journal.timings_ms["rewrite"] = context.since(start)


def same_words(one: str, other: str) -> bool:
    """Return whether two questions are equal but for case, spaces and end marks."""
    return " ".join(one.lower().split()).rstrip("?!. ") == " ".join(other.lower().split()).rstrip("?!. ")
