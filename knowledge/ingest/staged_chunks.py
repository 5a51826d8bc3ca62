"""Keeps the chunks of a document with their vectors until it is stored: a few in memory, more in a temporary file.

A chunk with its vectors needs about 20 KB. The file has no name, so nothing is left of it when the process is killed.
"""

from __future__ import annotations

import asyncio
import pickle
import tempfile
from collections.abc import AsyncIterator, Sequence

from knowledge.full_temporary_disk import discard, full_disk_reported
from knowledge.store.document_rows import EmbeddedChunk

MEMORY_CHUNKS = 8
"""A document with no more chunks stays in memory as it is."""
MEMORY_BYTES = 2**18
"""A document whose chunks need less stays in memory, written down."""


class StagedChunks:
    """The chunks of one document in order, in batches. Close it to free the space."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=MEMORY_BYTES)  # noqa: SIM115 - closed by ``close``
        self._few: list[EmbeddedChunk] = []
        self.chunks = 0

    async def add(self, batch: Sequence[EmbeddedChunk]) -> None:
        """Append a batch. Raises DiskFullError, after which the chunks are of no use."""
        self.chunks += len(batch)
        if self.chunks <= MEMORY_CHUNKS:
            self._few += batch
            return
        few, self._few = self._few, []
        await asyncio.to_thread(self._write, [*few, *batch])

    async def batches(self) -> AsyncIterator[list[EmbeddedChunk]]:
        """Yield the batches from the first on."""
        if self._few:
            yield list(self._few)
            return
        offset = 0
        while True:
            batch, offset = await asyncio.to_thread(self._read, offset)
            if not batch:
                return
            yield batch

    def replace(self, other: StagedChunks) -> None:
        """Take over the chunks of another object, which must not be used afterwards."""
        discard(self._file)
        self._file, self._few, self.chunks = other._file, other._few, other.chunks

    def close(self) -> None:
        """Delete the chunks."""
        self._few = []
        discard(self._file)

    def _write(self, batch: Sequence[EmbeddedChunk]) -> None:
        with full_disk_reported():
            self._file.seek(0, 2)
            pickle.dump(list(batch), self._file, pickle.HIGHEST_PROTOCOL)
            self._file.flush()

    def _read(self, offset: int) -> tuple[list[EmbeddedChunk], int]:
        """Return the batch at ``offset`` and the offset of the next one."""
        self._file.seek(offset)
        try:
            # Only this object writes the file, and no other process can open it.
            batch: list[EmbeddedChunk] = pickle.load(self._file)  # noqa: S301
        except EOFError:
            return [], offset
        return batch, self._file.tell()
