"""Records which parts of this process work: read by ``/readyz``, and by ``parley doctor`` through the database."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

SAMPLE = "sample"
"""The part that adds the sample documents, under its name for ``/readyz``."""
STARTING = "is starting"


class Health:
    """The state of each part by name. A part that never reported counts as working."""

    def __init__(self) -> None:
        self._faults: dict[str, str] = {}
        self._starting: dict[str, str] = {}
        self._ready: dict[str, asyncio.Event] = {}
        self._reported: dict[str, None] = {}

    @property
    def faults(self) -> Mapping[str, str]:
        """Return the reason, one line, for each part that does not work. Parts that still start have none."""
        return dict(self._faults)

    @property
    def unready(self) -> Mapping[str, str]:
        """Return the reason, one line, for each part that does not work or still starts."""
        return {**dict(sorted(self._starting.items())), **self._faults}

    @property
    def states(self) -> Mapping[str, bool]:
        """Return whether each part works that has ever reported, in the order in which they began to."""
        return {part: part not in self._starting and part not in self._faults for part in self._reported}

    async def until_ready(self, part: str) -> None:
        """Wait until the part has reported that it works."""
        await self._ready.setdefault(part, asyncio.Event()).wait()

    def starting(self, part: str, doing: str = STARTING) -> None:
        """Record that the part starts, and what it is ``doing``. Why it failed before stays until it works."""
        self._reported[part] = None
        self._starting[part] = doing

    def works(self, part: str) -> None:
        """Record that the part works."""
        self._reported[part] = None
        self._starting.pop(part, None)
        self._faults.pop(part, None)
        self._ready.setdefault(part, asyncio.Event()).set()

    def failed(self, part: str, reason: str) -> None:
        """Record that the part does not work, and why, in one line."""
        self._reported[part] = None
        self._starting.pop(part, None)
        self._faults[part] = " ".join(reason.split())
