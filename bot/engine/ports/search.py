"""Port to retrieval over the team's documents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from knowledge.types import Found, Scope


class Search(Protocol):
    """Finds passages. Raises knowledge errors; an empty knowledge base gives an empty Found."""

    async def version(self, tenant_id: str) -> int:
        """The tenant's knowledge version: it grows with every change of its documents."""

    async def __call__(self, query: str, scope: Scope, *, k: int = 5, earlier: Sequence[str] = ()) -> Found:
        """The k best passages; ``earlier`` are the questions asked before in the thread, oldest first."""
