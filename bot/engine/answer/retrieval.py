"""Retrieves passages, and estimates whether they contain the answer."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from bot.engine import user_messages
from bot.engine.answer import experts, prompt
from bot.engine.answer.attempt_state import Attempt
from bot.engine.answer.budget_limits import PASSAGE_SHARE
from bot.engine.answer.claim_support import shares_words
from bot.engine.answer.context import Context
from bot.engine.answer.query import Query, search
from bot.engine.answer.question_context import Attachments
from bot.engine.ports.llm import PromptPart
from bot.errors import for_operator
from bot.types.conversation import History
from knowledge.errors import KnowledgeError
from knowledge.types.search_results import Found, Passage

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Evidence:
    """The evidence for an answer.

    ``found`` is the whole search result, ``passages`` the part that goes into the prompt.

    ``low_confidence`` makes the prompt warn the model that the passages may not contain the answer. ``notes`` belong
    below an answer that was written to its end: below a stopped one, they would say what nobody knows.
    """

    query: Query
    found: Found | None = None
    passages: tuple[Passage, ...] = ()
    low_confidence: bool = False
    notes: tuple[str, ...] = ()
    searched_again: tuple[str, ...] = ()
    """What a second round searched for, because the first passages lacked it."""
    overview: bool = False
    """The question is about all the passages, such as the messages that it asks to summarize."""

    @property
    def parts(self) -> tuple[PromptPart, ...]:
        """The parts of the question, with what each found; none if they were not searched."""
        found = self.found.part_passages if self.found else ()
        return tuple(PromptPart(part.text, part.label, own) for part, own in zip(self.query.parts, found, strict=False))

    @property
    def unanswered(self) -> bool:
        """Whether the search ran and no passage is good enough to answer from."""
        return self.found is not None and not self.passages


async def retrieve(
    context: Context, attempt: Attempt, query: Query, attachments: Attachments, history: History
) -> Evidence:
    """Find the passages for a query.

    If the search fails, an answer from attached files has a note that says so. Without files, raises the KnowledgeError
    of the search: an answer without documents would look as if they did not contain it.
    """
    start, found = context.monotonic(), None
    try:
        query, found = await search(context, attempt, query, history)
        return Evidence(query) if found is None else judge(context, query, found, attachments)
    except KnowledgeError as error:
        log.warning("turn %s: search failed: %s", attempt.turn.id, for_operator(error))
        if not (attachments.passages or attachments.context):
            raise
        attempt.journal.notes.append(user_messages.NO_KNOWLEDGE)
        return Evidence(query, passages=attachments.passages)
    finally:
        attempt.journal.timings_ms["search"] = took = context.since(start)
        context.telemetry.search_ended(attempt.turn, found, took)


def is_confident(found: Found) -> bool:
    """Return whether the evidence is strong: more than halfway between the low-confidence threshold and certainty."""
    return bool(found.passages) and found.confidence >= (1 + max(found.weak_below, found.decline_below)) / 2


def judge(context: Context, query: Query, found: Found, attachments: Attachments) -> Evidence:
    """Remove passages that do not contain the answer, and mark passages that may not contain it."""
    files_read = attachments.files_read
    declined = found.confidence < found.decline_below
    if declined and (attachments.passages or (attachments.context and not files_read)):
        return Evidence(query, found, attachments.passages)
    notes = (user_messages.not_in_files(files_read),) if files_read and not attachments.passages else ()
    if declined:
        places = [one.place for one in found.passages if shares_words(query.expanded, f"{one.title} {one.text}")]
        people = experts.people(query.expanded, found.passages)
        nothing = user_messages.nothing_found(query.question, found.documents, places, people)
        return Evidence(query, found, notes=(*notes, nothing))
    own, earlier = (attachments.passages, ()) if files_read else ((), attachments.passages)
    passages = prompt.fitting((*own, *found.passages, *earlier), context.share(PASSAGE_SHARE), context.count)
    return Evidence(query, found, passages, found.confidence < found.weak_below, notes)
