"""Merges the search results of a question's parts with those of the whole question. Does no I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain, zip_longest

from knowledge.types.search_results import Found, Passage

MORE_PASSAGES = 1
"""Passages that each part adds to those of a question without parts."""


def merged(whole: Found, parts: Sequence[Found], k: int, *, whole_first: bool = False) -> Found:
    """Return the passages by their rank in each search, so that every part has room.

    There are at most ``k``, and ``MORE_PASSAGES`` for each part. ``whole_first``: the first ``k`` are those of the
    whole question, which is better for one question about several things than for several questions. The confidence is
    that of the surest search: who asks two questions gets the answer to the one that the documents answer.
    """
    if not parts:
        return whole
    searches = (whole, *parts)
    ranked = chain(
        whole.passages[: k if whole_first else 0],
        chain.from_iterable(zip_longest(*(found.passages for found in (parts if whole_first else searches)))),
    )
    passages: list[Passage] = []
    for passage in ranked:
        if passage is not None and not any(holds(one, passage) for one in passages):
            passages = [one for one in passages if not holds(passage, one)]
            passages.append(passage)
    return replace(
        max(searches, key=lambda found: found.confidence),
        passages=tuple(passages[: k + MORE_PASSAGES * len(parts)]),
        timings_ms={**whole.timings_ms, "total": max(found.timings_ms.get("total", 0.0) for found in searches)},
        knowledge_version=min(found.knowledge_version for found in searches),
        embedding_tokens=sum(found.embedding_tokens for found in searches),
        searched=" | ".join(dict.fromkeys(found.searched for found in searches if found.searched)),
        documents=max(found.documents for found in searches),
        standby=next((found.standby for found in searches if found.standby != "used"), "used"),
        part_passages=tuple(found.passages for found in parts),
    )


def holds(passage: Passage, other: Passage) -> bool:
    """Return whether a passage has all of another one."""
    if passage.document_id != other.document_id:
        return False
    return passage.start <= other.start and other.end <= passage.end
