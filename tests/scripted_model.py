"""Scripts the model's replies in the ten-turn conversation that each platform's tests run."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterable
from typing import Protocol

from tests.doubles.models import Reply
from tests.doubles.models_replies import Seen

LONG = "\n\n".join(
    f"## Chapter {n}\n\n" + f"Sentence of chapter {n}, which goes on for a while. " * 20 for n in range(30)
)
COUNTED = " ".join(f"number{n}" for n in range(120))
LAST = "number119"
PATIENCE = {"idle_timeout": 600, "total_timeout": 600}
"""Timeouts with which a held answer does not count as stalled."""


class Version(Protocol):
    """A version of a message. ``at`` is the time in seconds at which it was shown."""

    @property
    def at(self) -> float: ...


class ScriptedModel:
    """Replies at length, slowly or briefly, as the question asks.

    Slow counting never ends by itself. The story continues when ``restarted`` is set.
    """

    def __init__(self) -> None:
        self.restarted = asyncio.Event()

    def __call__(self, seen: Seen) -> Reply:
        _, asks, asked = seen.messages[-1][1].rpartition("asks: ") if seen.messages else ("", "", "")
        if not asks:
            return Reply("No rewriting and no summary here.")
        if "at length" in asked:
            return Reply(LONG, piece=900, pause=0.08)
        if "slowly" in asked or "story" in asked:
            held = self.restarted if "story" in asked else asyncio.Event()
            return Reply(COUNTED, piece=40, pause=0.15, after=24, held=held)
        return Reply(f"About “{asked[:40]}”: thirty days [1].", piece=20, pause=0.02)


def cadence(versions: Iterable[Version]) -> list[float]:
    """Return the seconds between consecutive versions of a message. Print them, do not assert them: a busy machine
    delivers late."""
    return [round(after.at - before.at, 2) for before, after in itertools.pairwise(versions)]
