"""Parses several files at the same time, each in an isolated process: as many as there are cores, if memory allows."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

from knowledge.parsing.isolation.worker_process import MAX_MEMORY_BYTES, RECOGNITION_MEMORY_BYTES
from knowledge.parsing.ocr import text_recognition
from knowledge.ports import Parses
from knowledge.types.documents import Document
from knowledge.types.source_items import Fetched

PARSERS_SHARE = 2
"""Parsers may use one part in so many of the memory. The model, PostgreSQL and the rest need the others."""
MEMORY_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
"""Files in which Linux states how much memory a container may use, for both versions of control groups."""


def cores() -> int:
    """Return the number of processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def memory() -> int:
    """Return the bytes of memory that this machine has, or that its container may use."""
    limits = [int(psutil.virtual_memory().total)]
    for path in MEMORY_LIMITS:
        with suppress(OSError, ValueError):  # A file that says ``max`` sets no limit.
            limits.append(int(path.read_text()))
    return min(limits)


def processes_for(cores: int, memory: int, *, recognizes: bool) -> int:
    """Return how many parsers to run: one for each core, if each can use all the memory that it is allowed.

    ``recognizes``: they read scans, which needs more.
    """
    each = MAX_MEMORY_BYTES + (RECOGNITION_MEMORY_BYTES if recognizes else 0)
    return max(1, min(cores, memory // PARSERS_SHARE // each))


class ParserPool:
    """Opens parsers as they are needed, up to ``processes``, and hands each file to one that is free.

    Without ``processes``, the cores and the memory of the machine decide.

    The parser that was used last is used first, so that files that come one by one need one process.
    """

    def __init__(self, open_parser: Callable[[], Parses], *, processes: int | None = None) -> None:
        self._open = open_parser
        most = processes or processes_for(cores(), memory(), recognizes=text_recognition.is_installed())
        self._places = asyncio.Semaphore(most)
        self._parsers: list[Parses] = []
        self._free: list[Parses] = []

    async def parse(self, fetched: Fetched, *, include_hidden: bool = False) -> Document:
        """Parse a file, as ``Parser.parse`` does."""
        async with self._places:
            parser = self._free.pop() if self._free else self._opened()
            try:
                return await parser.parse(fetched, include_hidden=include_hidden)
            finally:
                self._free.append(parser)

    def _opened(self) -> Parses:
        parser = self._open()
        self._parsers.append(parser)
        return parser

    async def aclose(self) -> None:
        """End the processes of all parsers."""
        for parser in self._parsers:
            await parser.aclose()
