"""What the steps of an answer work with, built once with the engine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bot.config import Settings
from bot.engine.ports import LLM, Classifier, Clock, Search, Store

PASSAGE_SHARE = 3000 / 8000
HISTORY_SHARE = 2500 / 8000


@dataclass(frozen=True, slots=True)
class Means:
    """The engine's neighbours and its settings. ``monotonic`` is in seconds."""

    store: Store
    search: Search
    llm: LLM
    settings: Settings
    count: Callable[[str], int]
    classifier: Classifier
    clock: Clock
    monotonic: Callable[[], float]

    def share(self, share: float) -> int:
        """So many tokens of the prompt."""
        return int(self.settings.prompt_tokens * share)

    def since(self, start: float) -> float:
        """Milliseconds since ``start``, by the monotonic clock."""
        return round(1000 * (self.monotonic() - start), 2)
