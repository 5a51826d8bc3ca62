"""The context that all steps of an answer share: the engine's ports and settings, built once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from bot.config import Settings
from bot.engine.answer.trimming import Window
from bot.engine.ports.answer_cache import SimilarAnswers
from bot.engine.ports.attachment_reader import AttachmentReader
from bot.engine.ports.classifier import Classifier
from bot.engine.ports.clock import Clock
from bot.engine.ports.llm import LLM
from bot.engine.ports.memory import Memory
from bot.engine.ports.rewriter import Rewriter
from bot.engine.ports.search import Search
from bot.engine.ports.search_planner import SearchPlanner
from bot.engine.ports.stores import Stores
from bot.engine.ports.summarizer import Summarizer
from bot.engine.ports.telemetry import NoTelemetry, Telemetry
from bot.engine.ports.verified_answers import VerifiedAnswers

HISTORY_SHARE = 2500 / 8000
"""Share of the prompt's tokens for the thread's history."""


@dataclass(frozen=True, slots=True)
class Context:
    """The engine's ports and settings. ``monotonic`` returns seconds; ``count`` counts the tokens of a text."""

    stores: Stores
    search: Search
    llm: LLM
    settings: Settings
    count: Callable[[str], int]
    classifier: Classifier
    clock: Clock
    monotonic: Callable[[], float]
    memory: Memory | None = None
    rewriter: Rewriter | None = None
    similar: SimilarAnswers | None = None
    reader: AttachmentReader | None = None
    summarizer: Summarizer | None = None
    free: bool = False
    """No call can count against a budget, so nothing is reserved."""
    telemetry: Telemetry = field(default_factory=NoTelemetry)
    verified: VerifiedAnswers | None = None
    planner: SearchPlanner | None = None
    windows: dict[str, Window] = field(default_factory=dict)
    """The contexts that servers have named, by model, until the process ends."""

    def share(self, share: float) -> int:
        """Return a share of the prompt's token budget, in tokens."""
        return int(self.settings.prompt_tokens * share)

    def since(self, start: float) -> float:
        """Return the milliseconds since ``start`` by the monotonic clock."""
        return round(1000 * (self.monotonic() - start), 2)
