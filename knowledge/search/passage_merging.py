"""Merges found passages: removes duplicates and joins neighboring passages of one document. Does no I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from knowledge.chunking.chunk_headers import indexed_text, shared_path
from knowledge.text.sentence_splitter import sentence_windows
from knowledge.types.search_results import Legs, Passage, Sentence

MAX_GAP = 400
"""Two passages of one document are joined if at most this many characters lie between them."""
HEADING_MARKS = 12
"""Maximum number of characters besides its letters that a heading has in its document: marks and empty lines."""
MAX_JOINED_CHARS = 6000
"""Passages that do not overlap are joined to at most this length."""


def with_sentences(passage: Passage, cosines: Sequence[float], model: str = "") -> Passage:
    """Return the passage with its sentences; ``cosines`` has one cosine of ``model`` per sentence, in order.

    If the numbers differ, the stored sentences were split by another rule, and the passage is returned without
    sentences.
    """
    indexed = indexed_text(passage.indexed_title, passage.heading, passage.text)
    offset = passage.start - (len(indexed) - len(passage.text))
    windows = sentence_windows(indexed)
    if not cosines or len(windows) != len(cosines):
        return passage
    sentences = (
        Sentence(max(offset + start, passage.start), offset + end, cosine)
        for (start, end), cosine in zip(windows, cosines, strict=True)
    )
    kept = tuple(one for one in sentences if one.start < one.end)
    return replace(passage, sentences=kept, embedding_model=model)


def without_duplicates(passages: Sequence[Passage]) -> list[Passage]:
    """Return the passages without those whose text occurred before, ignoring white space and case."""
    seen: set[str] = set()
    kept = []
    for passage in passages:
        words = " ".join(passage.text.split()).casefold()
        if words not in seen:
            seen.add(words)
            kept.append(passage)
    return kept


def group_neighbors(passages: Sequence[Passage], k: int) -> list[list[Passage]]:
    """Return at most k groups of neighboring passages of one document, each in the order of the document.

    The groups are ordered by their best passage. They contain all of the first k passages. A later passage starts a new
    group only if there are fewer than k groups.
    """
    groups: list[list[Passage]] = []
    for rank, passage in enumerate(passages):
        if len(groups) == k and rank >= k:
            break
        neighbors = next((group for group in groups if _fits(group, passage)), None)
        if neighbors is None:
            groups.append([passage])
        elif rank < k:
            neighbors.append(passage)
            neighbors.sort(key=lambda one: one.start)
    return _merge_overlapping(groups)


def _merge_overlapping(groups: list[list[Passage]]) -> list[list[Passage]]:
    """Merge groups that have come to overlap. The merged group gets the rank of the better one."""
    separate: list[list[Passage]] = []
    for group in groups:
        merged = group
        rank = len(separate)
        for index in reversed(range(len(separate))):
            if _overlap(separate[index], merged):
                merged = sorted([*separate.pop(index), *merged], key=lambda one: one.start)
                rank = index
        separate.insert(rank, merged)
    return separate


def _overlap(one: Sequence[Passage], other: Sequence[Passage]) -> bool:
    same = one[0].document_id == other[0].document_id
    return same and one[0].start < other[-1].end and other[0].start < one[-1].end


def _fits(group: Sequence[Passage], passage: Passage) -> bool:
    if group[0].document_id != passage.document_id:
        return False
    if _overlap(group, [passage]):
        return True
    start, end = min(group[0].start, passage.start), max(group[-1].end, passage.end)
    near = passage.start - group[-1].end <= MAX_GAP and group[0].start - passage.end <= MAX_GAP
    return near and end - start <= MAX_JOINED_CHARS


def heading_reach(group: Sequence[Passage]) -> int:
    """Return how many characters before the group may hold its first heading; 0 if all the group is below it.

    The heading of a passage is no part of its text, and a merged passage has only the headings that all of it shares.
    """
    first = group[0]
    shared = shared_path(passage.heading for passage in group)
    return min(first.start, len(first.heading[-1]) + HEADING_MARKS) if len(first.heading) > len(shared) else 0


def heading_start(heading: str, before: str) -> int:
    """Return where a heading begins that ``before`` ends with, with its marks; the length of ``before`` without it."""
    place = before.rfind(heading)
    if not heading or place < 0 or any(map(str.isalnum, before[place + len(heading) :])):
        return len(before)
    return before.rfind("\n", 0, place) + 1


def merge_group(group: Sequence[Passage], text: str) -> Passage:
    """Return one passage that ends with the group; ``text`` is the document's text up to there.

    It begins with the group, or with the heading before it.
    """
    best = max(group, key=lambda passage: passage.score)
    return replace(
        best,
        text=text,
        start=group[-1].end - len(text),
        end=group[-1].end,
        page=group[0].page,
        heading=shared_path(passage.heading for passage in group),
        sentences=tuple(one for passage in group for one in passage.sentences),
        embedding_model=next((passage.embedding_model for passage in group if passage.sentences), ""),
        legs=Legs(
            dense=_highest([p.legs.dense for p in group]),
            sparse=_highest([p.legs.sparse for p in group]),
            fused=_highest([p.legs.fused for p in group]),
            rerank=_highest([p.legs.rerank for p in group]),
        ),
    )


def _highest(scores: Sequence[float | None]) -> float | None:
    return max((score for score in scores if score is not None), default=None)
