"""Finds documents that seem to contradict each other: sentences of two documents that say the same with other numbers.

Looks only at passages that questions of the period found, because only these can mislead somebody. A date that is part
of a sentence counts as a number, so yearly reports may be named; a person decides.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from bot.reports.gaps import EVERYTHING, Encode, Readers
from knowledge.embedders.cosine_scale import own_cosine
from knowledge.store.document_writes import GONE_READINGS
from knowledge.text.sentence_splitter import sentence_spans

SAME_STATEMENT = 0.8
"""Least cosine of two sentences that are about the same, on the common scale of embedding models."""
MOST_PASSAGES = 120
MOST_SENTENCES = 300
MOST_FOUND = 5
LONGEST = 300
"""Characters of the longest sentence that is compared."""
_NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")

# The passages that were found most, of documents in force that the readers may see.
_PASSAGES = text(f"""
    SELECT passage ->> 'source' AS source, passage ->> 'text' AS text, max(documents.title) AS title
    FROM turns
    CROSS JOIN LATERAL jsonb_array_elements(
        CASE WHEN jsonb_typeof(trace -> 'passages') = 'array' THEN trace -> 'passages' ELSE '[]' END
    ) AS passage
    JOIN documents ON documents.tenant_id = :tenant AND documents.uri = passage ->> 'source'
    WHERE turns.tenant_id = :tenant AND turns.created_at >= :start AND turns.withdrawn_at IS NULL AND kind <> 'copied'
        AND (CAST(:channels AS text[]) IS NULL OR channel_id = ANY(:channels))
        AND (CAST(:audiences AS text[]) IS NULL OR documents.audience = ANY(:audiences))
        AND documents.gone_readings < {GONE_READINGS} AND passage ->> 'text' ~ '[0-9]'
    GROUP BY 1, 2 ORDER BY count(*) DESC, 1, 2 LIMIT :most
""")  # noqa: S608


@dataclass(frozen=True, slots=True)
class Statement:
    """A sentence with a number, and its document."""

    source: str
    title: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Contradiction:
    """Two statements of different documents that are alike except for their numbers."""

    one: Statement
    other: Statement


async def contradictions(
    session: AsyncSession,
    *,
    tenant_id: str,
    start: datetime,
    encode: Encode,
    model: str,
    readers: Readers = EVERYTHING,
) -> list[Contradiction]:
    """Return the statements that contradict each other most clearly, among what was found since ``start``.

    ``model`` is the embedding model of ``encode``.
    """
    values = {
        "tenant": tenant_id,
        "start": start,
        "channels": None if readers.channels is None else list(readers.channels),
        "audiences": None if readers.audiences is None else list(readers.audiences),
        "most": MOST_PASSAGES,
    }
    rows = (await session.execute(_PASSAGES, values)).all()
    statements = list(
        dict.fromkeys(
            Statement(row.source, row.title, row.text[start:end])
            for row in rows
            for start, end in sentence_spans(row.text)
            if end - start <= LONGEST and _NUMBER.search(row.text, start, end)
        )
    )[:MOST_SENTENCES]
    if len({one.source for one in statements}) < 2:
        return []
    # Without its numbers, a sentence tells what it is about.
    vectors = await encode([_NUMBER.sub("0", one.sentence) for one in statements])
    return compared(statements, np.asarray(vectors @ vectors.T, np.float32), own_cosine(model, SAME_STATEMENT))


def compared(
    statements: Sequence[Statement], cosines: np.ndarray[tuple[int, int], np.dtype[np.float32]], alike: float
) -> list[Contradiction]:
    """Return the pairs of different documents that say the same with other numbers, the most alike first.

    Sentences from a cosine of ``alike`` are about the same.
    """
    pairs = [
        (float(cosines[one, other]), one, other)
        for one in range(len(statements))
        for other in range(one + 1, len(statements))
        if cosines[one, other] >= alike and _differ(statements[one], statements[other])
    ]
    found = [
        Contradiction(statements[one], statements[other]) for _, one, other in sorted(pairs, key=lambda pair: -pair[0])
    ]
    # One pair of documents is named once.
    return list({(pair.one.source, pair.other.source): pair for pair in reversed(found)}.values())[::-1][:MOST_FOUND]


def _differ(one: Statement, other: Statement) -> bool:
    numbers, others = set(_NUMBER.findall(one.sentence)), set(_NUMBER.findall(other.sentence))
    return one.source != other.source and numbers.isdisjoint(others)
