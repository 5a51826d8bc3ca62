"""Runs large work in a thread, and small work at once, because handing it over would take longer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

SMALL = 8 * 1024
"""Bytes that are hashed or decoded faster than they are handed to a thread."""

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


async def in_thread_if_large(
    size: int, work: Callable[Parameters, Result], *args: Parameters.args, **kwargs: Parameters.kwargs
) -> Result:
    """Return what ``work`` returns. It runs in a thread if it processes more than ``SMALL`` bytes."""
    if size <= SMALL:
        return work(*args, **kwargs)
    return await asyncio.to_thread(work, *args, **kwargs)
