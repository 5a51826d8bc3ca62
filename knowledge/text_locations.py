"""Where each part of a document's text stands: the page and the headings that hold from an offset on.

A passage may go over several pages and sections. A quote from it is cited with the page and heading of its own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from knowledge.text.page_labels import label_of
from knowledge.types.documents import Document
from knowledge.types.search_results import Passage, TextPlace

MAX_PLACES = 10_000
"""Most places stored with a document. A document with more keeps only the pages, or nothing."""


def places_of(document: Document) -> tuple[TextPlace, ...]:
    """Return a place for each block whose page or headings differ from those of the block before."""
    every = [TextPlace(block.start, block.heading, block.page) for block in document.blocks]
    found = _changes(every)
    if len(found) > MAX_PLACES:
        found = _changes([replace(place, heading=None) for place in every])
    return tuple(found) if len(found) <= MAX_PLACES else ()


def _changes(places: Sequence[TextPlace]) -> list[TextPlace]:
    kept: list[TextPlace] = []
    for place in places:
        if not kept or (place.heading, place.page) != (kept[-1].heading, kept[-1].page):
            kept.append(place)
    return kept


def to_json(document: Document) -> str:
    """Return the places of a document as they are stored: ``[[start, page, [heading, ...]], ...]``."""
    rows = [[place.start, place.page, place.heading] for place in places_of(document)]
    return json.dumps(rows, ensure_ascii=False)


# The places that hold inside each passage: from the last one that begins before it, to its end.
_PLACES = text("""
    SELECT wanted.number, place.start, place.page, place.heading, coalesce(documents.metadata ->> 'page_labels', '')
    FROM unnest(CAST(:numbers AS integer[]), CAST(:ids AS uuid[]), CAST(:starts AS integer[]), CAST(:ends AS integer[]))
        AS wanted (number, id, first, last)
    JOIN documents ON documents.tenant_id = :tenant AND documents.id = wanted.id
    CROSS JOIN LATERAL (
        SELECT
            CAST(entry ->> 0 AS integer) AS start, CAST(entry ->> 1 AS integer) AS page, entry -> 2 AS heading,
            lead(CAST(entry ->> 0 AS integer)) OVER (ORDER BY ordinal) AS following
        FROM jsonb_array_elements(documents.blocks) WITH ORDINALITY AS entries (entry, ordinal)
    ) AS place
    WHERE place.start < wanted.last AND (place.following IS NULL OR place.following > wanted.first)
    ORDER BY wanted.number, place.start
""")


async def with_places(session: AsyncSession, tenant_id: str, passages: Sequence[Passage]) -> list[Passage]:
    """Return the passages with the places inside them; without, if their documents have none stored."""
    if not passages:
        return []
    rows = await session.execute(
        _PLACES,
        {
            "tenant": tenant_id,
            "numbers": list(range(len(passages))),
            "ids": [passage.document_id for passage in passages],
            "starts": [passage.start for passage in passages],
            "ends": [passage.end for passage in passages],
        },
    )
    found: Mapping[int, list[TextPlace]] = {number: [] for number in range(len(passages))}
    for number, start, page, heading, labels in rows:
        label = "" if page is None else label_of(labels, page)
        found[number].append(TextPlace(start, None if heading is None else tuple(heading), page, label))
    return [replace(passage, places=tuple(found[number])) for number, passage in enumerate(passages)]
