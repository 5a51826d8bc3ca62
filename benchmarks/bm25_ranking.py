"""Ranks texts for a question by BM25 in memory, with the product's search terms."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Generic, TypeVar

import numpy as np
from rank_bm25 import BM25Okapi

from knowledge.text.search_terms import document_terms, query_terms

Item = TypeVar("Item")


class Ranker(Generic[Item]):
    """Items with a BM25 index of their texts."""

    def __init__(self, items: Sequence[Item], texts: Sequence[str]) -> None:
        self.items = items
        self._scores = BM25Okapi([document_terms(text) for text in texts])

    def ranked(self, question: str) -> Iterator[Item]:
        """Yield the items, best first; of equal ones, the first."""
        order = np.argsort(-self._scores.get_scores(query_terms(question)), kind="stable")
        return (self.items[int(place)] for place in order)
