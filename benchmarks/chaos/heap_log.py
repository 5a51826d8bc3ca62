"""Writes the memory of this process to a file at intervals: resident, used by the allocators, and by kind of object."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import json
import sys
import time
import tracemalloc
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.shared.harness import resident_mb

CONTAINERS = (dict, list, set, deque)
MOST_NAMES = 400
"""Types, containers and lines of code that one entry names."""
MEGABYTE = 2**20


class MallocInfo(ctypes.Structure):
    """The result of ``mallinfo2(3)``, in bytes. Python's own allocator takes its arenas with mmap, outside of it."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()
    ]


@dataclass(frozen=True, slots=True)
class HeapEntry:
    """The memory of a process at one moment. ``at`` is monotonic; sizes are in MB."""

    at: float
    rss_mb: float
    malloc_used_mb: float
    """Taken by C code from the C library, and in use."""
    malloc_free_mb: float
    """Kept by the C library although it is free: fragmentation."""
    blocks: int
    """Blocks that Python has allocated, including those of objects without references, such as texts."""
    objects: Mapping[str, int]
    """The number of objects by type, without those that existed before the process was forked."""
    containers: Mapping[str, int]
    """The number of entries in containers, by the class and the attribute that holds them."""
    lines_mb: Mapping[str, float] = field(default_factory=dict)
    """Memory by the line of Python code that allocated it, if it is traced."""


@dataclass(frozen=True, slots=True)
class HeapLog:
    """How the memory of a process is logged: to which file, and how often. An entry stops the process for up to a
    second.
    """

    path: str
    every: float
    """Seconds between two entries."""
    collect: bool = False
    """Whether garbage is collected before each entry, which shows what is referenced, but changes what is measured."""
    trace: bool = False
    """Whether the lines of code that allocate memory are recorded, which makes the process several times slower."""


async def write_heap_log(options: HeapLog) -> None:
    """Append a line of JSON at each interval until canceled."""
    if options.trace:
        tracemalloc.start()
    with Path(options.path).open("w", encoding="utf-8") as file:  # noqa: ASYNC230
        while True:
            await asyncio.sleep(options.every)
            if options.collect:
                gc.collect()
            file.write(json.dumps(asdict(heap_entry())) + "\n")
            file.flush()


def read_heap_log(path: Path) -> list[HeapEntry]:
    """Return what ``write_heap_log`` has written; empty without a file."""
    if not path.exists():
        return []
    return [HeapEntry(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]


def heap_entry() -> HeapEntry:
    """Measure this process now."""
    objects = gc.get_objects()
    malloc = _malloc_info()
    return HeapEntry(
        time.monotonic(),
        resident_mb(),
        (malloc.uordblks + malloc.hblkhd) / MEGABYTE,
        malloc.fordblks / MEGABYTE,
        sys.getallocatedblocks(),
        _largest(Counter(f"{kind.__module__}.{kind.__qualname__}" for kind in map(type, objects))),
        _largest(container_sizes(objects, ())),
        _traced_lines(),
    )


def container_sizes(objects: Iterable[object], modules: tuple[str, ...]) -> Counter[str]:
    """Return the number of entries in the containers that objects hold, by class and attribute.

    Only classes count whose module begins with one of ``modules``; without ``modules``, those of every module.
    """
    found: Counter[str] = Counter()
    for holder in objects:
        kind = type(holder)
        if not modules or str(kind.__module__).startswith(modules):
            for name in (*getattr(holder, "__dict__", ()), *_slots(kind)):
                value = _held(holder, name)
                if isinstance(value, CONTAINERS):
                    found[f"{kind.__module__}.{kind.__qualname__}.{name}"] += len(value)
    return found


def _held(holder: object, name: str) -> object:
    """Return an attribute without running code of its class."""
    with suppress(Exception):
        return object.__getattribute__(holder, name)
    return None


def _slots(kind: type) -> list[str]:
    return [name for one in kind.__mro__ for name in getattr(one, "__slots__", ()) if not name.startswith("__")]


def _malloc_info() -> MallocInfo:
    library = ctypes.CDLL(None)
    if not hasattr(library, "mallinfo2"):
        return MallocInfo()
    library.mallinfo2.restype = MallocInfo
    info: MallocInfo = library.mallinfo2()
    return info


def _traced_lines() -> dict[str, float]:
    if not tracemalloc.is_tracing():
        return {}
    statistics = tracemalloc.take_snapshot().statistics("lineno")[:MOST_NAMES]
    sizes = {f"{one.traceback[0].filename}:{one.traceback[0].lineno}": one.size / MEGABYTE for one in statistics}
    return {name.rpartition("site-packages/")[2]: size for name, size in sizes.items()}


def _largest(counts: Counter[str]) -> dict[str, Any]:
    return dict(counts.most_common(MOST_NAMES))
