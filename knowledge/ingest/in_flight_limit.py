"""Limits how many documents, and how many of their bytes, are processed at the same time."""

from __future__ import annotations

import asyncio


class InFlightLimit:
    """Admits at most ``documents`` documents with ``size`` bytes in total. A larger document is admitted alone."""

    def __init__(self, documents: int, size: int) -> None:
        self._free_documents = documents
        self._free_bytes = size
        self._inside = 0
        self._released = asyncio.Event()

    async def acquire(self, size: int) -> None:
        """Wait until a document of ``size`` bytes can be admitted."""
        while self._inside and (self._free_documents == 0 or self._free_bytes < size):
            self._released.clear()
            await self._released.wait()
        self._inside += 1
        self._free_documents -= 1
        self._free_bytes -= size

    def release(self, size: int) -> None:
        """Release a document of ``size`` bytes."""
        self._inside -= 1
        self._free_documents += 1
        self._free_bytes += size
        self._released.set()
