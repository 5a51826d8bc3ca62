"""Gives an answer that a person has verified, before documents are searched and without asking a model.

Only a question that opens a thread is looked up, as in the answer cache: later ones may mean something else.
"""

from __future__ import annotations

from bot.engine import user_messages
from bot.engine.answer import cached
from bot.engine.answer.attempt_state import Attempt
from bot.engine.answer.citations import Resolved
from bot.engine.answer.context import Context
from bot.engine.answer.query import Query
from bot.engine.answer.question_context import Attachments
from bot.engine.answer.results import Results
from bot.engine.cache.matching import is_hit
from bot.types.turns import TurnRecord
from bot.types.verified_answers import VerifiedAnswer
from knowledge.types.scope import Filter


async def look_up(
    context: Context, attempt: Attempt, query: Query, record: TurnRecord, attachments: Attachments
) -> VerifiedAnswer | None:
    """Return the verified answer to the question; None if there is none, or if the asker wants a new answer.

    The question must have the wording of one that the answer was verified for, as in the answer cache: similar vectors
    alone do not tell "import" from "export".
    """
    turn, history = attempt.turn, record.history
    if context.verified is None or not record.has_verified or turn.fresh or query.asks_nothing:
        return None
    if history.messages or history.summary or attachments.context:
        return None
    for one in await context.verified.near(turn.question, query.scope):
        if is_hit(turn.question, one.question, one.similarity) and _passes(one.answer, query.scope.filter):
            return one.answer
    return None


def stored_answer(attempt: Attempt, results: Results) -> Resolved:
    """Return the answer that is given in place of a new one.

    Below a verified one stands who verified it and when, below a cached one that it is.
    """
    known = results.verified
    if known is None:
        return cached.answer_of(attempt, results.lookup)
    attempt.journal.notes.append(user_messages.verified(known.owner_name, known.verified_at))
    return Resolved(known.answer, known.citations)


def _passes(known: VerifiedAnswer, limits: Filter) -> bool:
    """Return whether the answer cites only sources that the channel may use, and at least one if it is limited."""
    if limits.sources is None:
        return True
    return bool(known.citations) and all(one.source.startswith(limits.sources) for one in known.citations)
