"""A worker thread that encodes texts of concurrent callers in batches; queries go before passages."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from knowledge.errors import EmbeddingError
from knowledge.ports import EncodeKind

Result = TypeVar("Result")

EncodeBatch = Callable[[Sequence[str], EncodeKind], Sequence[Result]]
"""Encodes texts of one kind and returns one result per text."""


@dataclass(slots=True)
class _Job(Generic[Result]):
    """The texts of one caller; the first ``taken`` of them are already part of a batch."""

    texts: Sequence[str]
    future: Future[list[Result]]
    taken: int = 0
    results: list[Result] = field(default_factory=list)


def utf8_bytes(text: str) -> int:
    """Return the length of a text in UTF-8. It grows with the text's tokens in every script, unlike its characters."""
    return len(text.encode(errors="replace"))


class BatchingWorker(Generic[Result]):
    """Runs ``encode`` in one thread, with at most ``batch`` texts at a time, or more texts of ``batch_bytes`` in total.

    If ``encode`` fails, only the jobs of its batch fail. The thread starts with the first job.
    """

    def __init__(self, encode: EncodeBatch[Result], *, batch: int = 32, batch_bytes: int = 0) -> None:
        self._encode = encode
        self._batch = batch
        self._batch_bytes = batch_bytes
        self._queues: dict[EncodeKind, deque[_Job[Result]]] = {"query": deque(), "passage": deque()}
        self._wake = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed = False

    async def run(self, texts: Sequence[str], kind: EncodeKind) -> list[Result]:
        """Return the result of each text. Canceling drops the job."""
        if not texts:
            return []
        job: _Job[Result] = _Job(texts, Future())
        with self._wake:
            if self._closed:
                raise EmbeddingError("The embedding model was closed. Start Parley again.")
            self._queues[kind].append(job)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="embedder", daemon=True)
                self._thread.start()
            self._wake.notify()
        return await asyncio.wrap_future(job.future)

    async def aclose(self) -> None:
        """Cancel the waiting jobs and end the thread."""
        with self._wake:
            self._closed = True
            waiting = [job for queue in self._queues.values() for job in queue]
            for queue in self._queues.values():
                queue.clear()
            self._wake.notify()
        for job in waiting:
            job.future.cancel()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)

    def _work(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._closed or any(self._queues.values()))
                if self._closed:
                    return
                kind: EncodeKind = "query" if self._queues["query"] else "passage"
                pieces = self._take(self._queues[kind])
            self._finish(pieces, kind)
            del pieces  # A worker that waits keeps no texts.

    def _take(self, queue: deque[_Job[Result]]) -> list[tuple[_Job[Result], Sequence[str]]]:
        """Take pieces of the oldest jobs of one kind, up to a batch."""
        pieces: list[tuple[_Job[Result], Sequence[str]]] = []
        texts = size = 0
        while queue:
            job, start = queue[0], queue[0].taken
            if job.future.cancelled():
                queue.popleft()
                continue
            for text in job.texts[start:]:
                size += utf8_bytes(text)
                if texts >= self._batch and size > self._batch_bytes:
                    break
                texts += 1
                job.taken += 1
            if job.taken > start:
                pieces.append((job, job.texts[start : job.taken]))
            if job.taken < len(job.texts):
                break
            queue.popleft()
        return pieces

    def _finish(self, pieces: Sequence[tuple[_Job[Result], Sequence[str]]], kind: EncodeKind) -> None:
        try:
            results = list(self._encode([text for _, piece in pieces for text in piece], kind))
        except Exception as error:
            for job, _ in pieces:
                self._fail(job, error)
            return
        start = 0
        for job, piece in pieces:
            job.results += results[start : start + len(piece)]
            start += len(piece)
            if len(job.results) == len(job.texts):
                # The caller's thread can cancel the job at any time, and an error here would end the worker's thread.
                with suppress(InvalidStateError):
                    job.future.set_result(job.results)

    def _fail(self, job: _Job[Result], error: Exception) -> None:
        with self._wake:
            for queue in self._queues.values():
                if job in queue:
                    queue.remove(job)
        with suppress(InvalidStateError):
            job.future.set_exception(error)
