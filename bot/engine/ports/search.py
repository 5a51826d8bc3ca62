"""Port to retrieval over the team's documents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from knowledge.types.scope import Scope
from knowledge.types.search_results import Found


class Search(Protocol):
    """Finds passages. Raises knowledge errors; an empty knowledge base returns an empty Found."""

    async def __call__(self, query: str, scope: Scope, *, k: int = 5, earlier: Sequence[str] = ()) -> Found:
        """Return the ``k`` best passages. ``earlier``: the thread's previous questions, oldest first."""
