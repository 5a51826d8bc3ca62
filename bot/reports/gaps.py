"""Groups the questions that got no good answer, or that are asked again and again, by what they are about.

So that missing documents can be written. Who may read the report decides which questions are in it: see ``Readers``.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from bot.llm.quoting.sentence_ranking import terms
from bot.types.conversation import PRIVATE_THREAD
from knowledge import superseded
from knowledge.embedders.cosine_scale import own_cosine
from knowledge.search import evidence_confidence
from knowledge.search.followup_queries import leans_on_thread

Vectors = npt.NDArray[np.float32]
Encode = Callable[[Sequence[str]], Awaitable[Vectors]]

SAME_SUBJECT = 0.6
"""Least cosine of a question and the mean of a group that it joins, on the common scale of embedding models."""
MOST_QUESTIONS = 5000
"""The latest questions that are grouped."""
LABEL_WORDS = 3


Why = Literal["unanswered", "down", "low", "repeated"]
"""Why a question is in the report: no document answers it, a thumb down, low confidence, or asked often."""
WHY: tuple[Why, ...] = get_args(Why)
OFTEN = 3
"""How often the same question must be asked to count as repeated."""


@dataclass(frozen=True, slots=True)
class Readers:
    """Who reads the report. ``user_id`` sees their own private questions; empty for several people.

    ``channels`` are those whose questions they may read, None for all; ``audiences`` those of the documents whose names
    they may read, None for all.
    """

    user_id: str = ""
    channels: Sequence[str] | None = None
    audiences: Sequence[str] | None = None


EVERYTHING = Readers()


@dataclass(frozen=True, slots=True)
class Question:
    """A question of the report. ``source`` is that of its best passage; None if nothing was found."""

    text: str
    user_id: str
    source: str | None
    why: Why


@dataclass(frozen=True, slots=True)
class Gap:
    """Different questions about one subject, named by its most telling words, and how many ``times`` they were asked.

    ``why`` counts the reasons. ``best_source`` is the source that was found for most of them. ``stale``: its document
    is gone, or says that it is superseded.
    """

    label: str
    questions: tuple[str, ...]
    times: int
    askers: int
    best_source: str | None
    stale: bool
    why: Mapping[Why, int]

    def as_json(self) -> dict[str, Any]:
        """Return the gap as the command line prints it."""
        return {
            "label": self.label,
            "questions": list(self.questions),
            "times": self.times,
            "askers": self.askers,
            "best_source": self.best_source,
            "stale": self.stale,
            "why": dict(self.why),
        }


# Unanswered, with a thumb down, answered from passages that probably did not contain the answer, or asked often.
# ``cited_later`` is true for an answer with a source in a thread that had a question before, if only its low confidence
# speaks against it. Greetings find no passages, so they do not count as asked often.
_QUESTIONS = text("""
    SELECT question, user_id, trace -> 'passages' -> 0 ->> 'source' AS source,
        CASE WHEN unanswered THEN 'unanswered' WHEN down THEN 'down' WHEN low THEN 'low' ELSE 'repeated' END AS why,
        NOT unanswered AND NOT down AND low AND citations <> '[]' AND EXISTS (
            SELECT FROM turns AS earlier
            WHERE earlier.tenant_id = :tenant AND earlier.thread_uid = asked.thread_uid AND earlier.seq < asked.seq
        ) AS cited_later
    FROM (
        SELECT turns.*, coalesce((trace ->> 'unanswered')::boolean, false) AS unanswered,
            EXISTS (
                SELECT FROM feedback
                WHERE feedback.tenant_id = :tenant AND feedback.turn_id = turns.turn_id AND value < 0
            ) AS down,
            coalesce((trace ->> 'confidence')::float < :weak, false) AS low,
            count(*) OVER (PARTITION BY lower(question)) AS same
        FROM turns
        WHERE tenant_id = :tenant AND created_at >= :start AND state = 'done' AND refused IS NULL
            AND withdrawn_at IS NULL AND question <> '' AND kind <> 'copied'
            AND (CAST(:channels AS text[]) IS NULL OR channel_id = ANY(:channels))
            AND (NOT :only_shown OR NOT starts_with(thread_id, :private) OR user_id = :reader)
    ) AS asked
    WHERE unanswered OR down OR low OR (same >= :often AND (cached OR trace -> 'passages' <> '[]'))
    ORDER BY created_at DESC, turn_id
    LIMIT :most
""")
_DOCUMENTS = text("""
    SELECT uri, title, left(text, :opening) AS opening, gone_readings >= 2 AS gone
    FROM documents WHERE tenant_id = :tenant AND uri = ANY(:sources)
        AND (CAST(:audiences AS text[]) IS NULL OR audience = ANY(:audiences))
""")


async def gaps(
    session: AsyncSession,
    *,
    tenant_id: str,
    start: datetime,
    encode: Encode,
    model: str,
    readers: Readers | None = None,
    most: int = MOST_QUESTIONS,
) -> list[Gap]:
    """Return the gaps since ``start`` among the latest ``most`` questions, the most asked first, then what is answered.

    Questions that were deleted are left out. Without ``readers``, it is for the operator, who may read everything.
    """
    given = readers or EVERYTHING
    values = {
        "tenant": tenant_id,
        "start": start,
        "weak": evidence_confidence.shipped().weak_below,
        "often": OFTEN,
        "channels": None if given.channels is None else list(given.channels),
        "only_shown": readers is not None,
        "reader": given.user_id,
        "private": PRIVATE_THREAD,
        "most": most,
    }
    rows = (await session.execute(_QUESTIONS, values)).all()
    asked = [
        Question(row.question, row.user_id, row.source, row.why) for row in rows if not _is_answered_follow_up(row)
    ]
    if not asked:
        return []
    # Thousands of questions take seconds, in which the process must go on answering.
    groups = await asyncio.to_thread(grouped, await encode([one.text for one in asked]), model)
    sources = {one.source for one in asked if one.source}
    stale = await _stale(session, tenant_id, sorted(sources), datetime.now(UTC).date(), given.audiences)
    labels = await asyncio.to_thread(labelled, [[asked[place].text for place in group] for group in groups])
    nameable = sources if given.audiences is None else set(stale)
    found = [
        _gap(label, [asked[place] for place in group], stale, nameable)
        for label, group in zip(labels, groups, strict=True)
    ]
    return sorted(found, key=lambda gap: (gap.why.keys() <= {"repeated"}, -gap.times, -gap.askers, gap.label))


def _is_answered_follow_up(row: Any) -> bool:
    """Return whether the question was answered with a source, and leaves out what its thread says.

    The confidence compares the words of the question with the passages, so it is low for "And in Oslo?" even if the
    passages contain the answer.
    """
    return bool(row.cited_later) and leans_on_thread(row.question)


def grouped(vectors: Vectors, model: str) -> list[list[int]]:
    """Return the rows of unit vectors in groups of one subject: each joins the nearest group that is near enough.

    ``model`` is the embedding model that made them.
    """
    near_enough = own_cosine(model, SAME_SUBJECT)
    groups: list[list[int]] = []
    sums = np.zeros_like(vectors)
    norms = np.ones(len(vectors))
    for place, vector in enumerate(vectors):
        cosines = (sums[: len(groups)] @ vector) / norms[: len(groups)]
        best = int(np.argmax(cosines)) if groups else -1
        if best >= 0 and cosines[best] >= near_enough:
            groups[best].append(place)
        else:
            best = len(groups)
            groups.append([place])
        sums[best] += vector
        norms[best] = float(np.linalg.norm(sums[best])) or 1.0
    return groups


def labelled(groups: Sequence[Sequence[str]]) -> list[str]:
    """Return the words of each group that tell it from the others, as they are first written in it."""
    words = [{term: word for word in " ".join(reversed(group)).split() for term in terms(word)} for group in groups]
    counts = [Counter(term for question in group for term in set(terms(question))) for group in groups]
    groups_with = Counter(term for count in counts for term in count)
    labels = []
    for group, count, written in zip(groups, counts, words, strict=True):
        best = sorted(count, key=lambda term: (-count[term] / groups_with[term], -len(term), term))[:LABEL_WORDS]
        in_order = sorted(best, key=lambda term: " ".join(terms(group[0])).find(term) % 10_000)
        labels.append(" ".join(written[term].strip(".,;:!?\"'()").lower() for term in in_order if term in written))
    return labels


def _gap(label: str, asked: Sequence[Question], stale: Mapping[str, bool], nameable: Collection[str]) -> Gap:
    sources = Counter(one.source for one in asked if one.source in nameable)
    best = sources.most_common(1)[0][0] if sources else None
    texts = tuple(dict.fromkeys(one.text for one in asked))
    askers = len({one.user_id for one in asked})
    counts = Counter(one.why for one in asked)
    why = {name: counts[name] for name in WHY if counts[name]}
    return Gap(label or texts[0], texts, len(asked), askers, best, stale.get(best or "", False), why)


async def _stale(
    session: AsyncSession, tenant_id: str, sources: Sequence[str], today: date, audiences: Sequence[str] | None
) -> dict[str, bool]:
    """Return whether the documents of the sources are gone or superseded; without ``audiences``, of all that exist."""
    values = {"tenant": tenant_id, "sources": list(sources), "opening": superseded.OPENING_CHARS}
    values["audiences"] = None if audiences is None else list(audiences)
    rows = await session.execute(_DOCUMENTS, values)
    return {row.uri: row.gone or bool(superseded.note(row.title, row.opening, today)) for row in rows}
