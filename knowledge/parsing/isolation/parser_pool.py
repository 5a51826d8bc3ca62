"""Parses several files at the same time, each in an isolated process of its own: as many as the machine has cores."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

from knowledge.ports import Parses
from knowledge.types import Document, Fetched

MAX_PROCESSES = 4
"""Maximum number of processes. Each may need 512 MB, with OCR 2 GB, and one model embeds what all of them parse."""


def cores() -> int:
    """Return the number of processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class ParserPool:
    """Opens parsers as they are needed, up to ``processes``, and hands each file to one that is free.

    The parser that was used last is used first, so that files that come one by one need one process.
    """

    def __init__(self, open_parser: Callable[[], Parses], *, processes: int | None = None) -> None:
        self._open = open_parser
        self._places = asyncio.Semaphore(processes or min(cores(), MAX_PROCESSES))
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
