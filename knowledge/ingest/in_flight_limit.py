"""Limits how many documents, and how many of their bytes, are processed at the same time."""

from __future__ import annotations

import asyncio


class InFlightLimit:
    """Admits at most ``documents`` documents with ``size`` bytes in total. A larger document is admitted alone."""

    def __init__(self, documents: int, size: int) -> None:
        self._max_documents = documents
        self._max_bytes = size
        self._documents = 0
        self._bytes = 0
        self._released = asyncio.Event()

    async def acquire(self, size: int) -> None:
        """Wait until a document of ``size`` bytes can be admitted."""
        while self._documents and (self._documents == self._max_documents or self._bytes + size > self._max_bytes):
            self._released.clear()
            await self._released.wait()
        self._documents += 1
        self._bytes += size

    def release(self, size: int) -> None:
        """Release a document of ``size`` bytes."""
        self._documents -= 1
        self._bytes -= size
        self._released.set()
