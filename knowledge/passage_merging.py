"""What a reader gets: duplicates merged, neighbours joined. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from knowledge.chunking.chunk_headers import indexed_text
from knowledge.sentence_splitter import sentence_windows
from knowledge.types import Legs, Passage, Sentence

JOIN_GAP = 400
"""Two passages of one document are joined when at most this many characters lie between them."""
JOINED_CHARS = 6000
"""Passages that do not overlap are joined to no more than this."""


def with_sentences(passage: Passage, cosines: Sequence[float]) -> Passage:
    """A chunk with its sentences, whose cosines are given in order.

    It stays without them where there are others by number: they were cut by another rule.
    """
    whole = indexed_text(passage.title, passage.heading, passage.text)
    first = passage.start - (len(whole) - len(passage.text))
    windows = sentence_windows(whole)
    if not cosines or len(windows) != len(cosines):
        return passage
    sentences = (
        Sentence(max(first + start, passage.start), first + end, cosine)
        for (start, end), cosine in zip(windows, cosines, strict=True)
    )
    return replace(passage, sentences=tuple(one for one in sentences if one.start < one.end))


def without_duplicates(passages: Sequence[Passage]) -> list[Passage]:
    """The first of those that say the same, white space aside."""
    seen: set[str] = set()
    kept = []
    for passage in passages:
        words = " ".join(passage.text.split()).casefold()
        if words not in seen:
            seen.add(words)
            kept.append(passage)
    return kept


def joined_spans(passages: Sequence[Passage], k: int) -> list[list[Passage]]:
    """At most k groups of passages that stand beside each other in one document, each in order of place.

    The groups keep the order of their best passage. The first k passages are all among them; further ones only begin
    a group where joining has left room for one.
    """
    groups: list[list[Passage]] = []
    for rank, passage in enumerate(passages):
        if len(groups) == k and rank >= k:
            break
        beside = next((group for group in groups if _fits(group, passage)), None)
        if beside is None:
            groups.append([passage])
        elif rank < k:
            beside.append(passage)
            beside.sort(key=lambda one: one.start)
    return _apart(groups)


def _apart(groups: list[list[Passage]]) -> list[list[Passage]]:
    """The groups, those that have come to overlap made one in the place of the better."""
    apart: list[list[Passage]] = []
    for group in groups:
        merged = group
        place = len(apart)
        for at in reversed(range(len(apart))):
            if _overlap(apart[at], merged):
                merged = sorted([*apart.pop(at), *merged], key=lambda one: one.start)
                place = at
        apart.insert(place, merged)
    return apart


def _overlap(one: Sequence[Passage], other: Sequence[Passage]) -> bool:
    same = one[0].document_id == other[0].document_id
    return same and one[0].start < other[-1].end and other[0].start < one[-1].end


def _fits(group: Sequence[Passage], passage: Passage) -> bool:
    if group[0].document_id != passage.document_id:
        return False
    if _overlap(group, [passage]):
        return True
    start, end = min(group[0].start, passage.start), max(group[-1].end, passage.end)
    near = passage.start - group[-1].end <= JOIN_GAP and group[0].start - passage.end <= JOIN_GAP
    return near and end - start <= JOINED_CHARS


def joined(group: Sequence[Passage], text: str) -> Passage:
    """One passage over the whole span of the group; ``text`` is the document's between its ends."""
    best = max(group, key=lambda passage: passage.score)
    return replace(
        best,
        text=text,
        start=group[0].start,
        end=group[-1].end,
        page=group[0].page,
        heading=_shared([passage.heading for passage in group]),
        sentences=tuple(one for passage in group for one in passage.sentences),
        legs=Legs(
            dense=_most([p.legs.dense for p in group]),
            sparse=_most([p.legs.sparse for p in group]),
            fused=_most([p.legs.fused for p in group]),
            rerank=_most([p.legs.rerank for p in group]),
        ),
    )


def _shared(paths: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    shared = paths[0]
    for path in paths[1:]:
        same = 0
        while same < min(len(shared), len(path)) and shared[same] == path[same]:
            same += 1
        shared = shared[:same]
    return shared


def _most(scores: Sequence[float | None]) -> float | None:
    return max((score for score in scores if score is not None), default=None)
