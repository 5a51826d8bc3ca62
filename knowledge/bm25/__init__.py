"""BM25 inside Postgres: the same ranking as ``rank_bm25.BM25Okapi`` over the tenant's whole corpus, always fresh.

Written in the transaction of the chunks themselves, read by every process. A batch of chunks is one part; parts of a
segment are joined once there are many of a level, so that a term is read from few rows. Deleted chunks are masked, and
swept out of a segment once they are many. How often a term occurs is counted from its living entries while they are
read, so no statistic can be stale. Writers of one tenant wait for each other at the tenant's state row.
"""

from __future__ import annotations

from knowledge.bm25.read import candidates, idf
from knowledge.bm25.write import index, remove

__all__ = ["candidates", "idf", "index", "remove"]
