"""BM25 inside Postgres, with the ranking of ``rank_bm25.BM25Okapi`` over the tenant's whole corpus.

Postings are written in the transaction of their chunks and can be read by every process. A batch of chunks is one part.
Once a segment has many parts of one level, they are merged, so that a term is read from few rows. Deleted chunks are
masked, and removed from a segment once it has many of them. Frequencies are counted from the live entries as they are
read, so statistics are never stale. Writers of one tenant run one after the other: they lock the tenant's state row.

When the rules of the terms change, chunks are indexed again batch by batch. A chunk is found by its old entries until
it has entries of the present version.
"""

from __future__ import annotations

from knowledge.bm25.indexing import index, remove, sweep_dead
from knowledge.bm25.posting_codec import IndexedChunk
from knowledge.bm25.reindexing import delete_replaced, replace, replaced_segment
from knowledge.bm25.search import Best, candidates
from knowledge.bm25.term_statistics import idf

__all__ = [
    "Best",
    "IndexedChunk",
    "candidates",
    "delete_replaced",
    "idf",
    "index",
    "remove",
    "replace",
    "replaced_segment",
    "sweep_dead",
]
