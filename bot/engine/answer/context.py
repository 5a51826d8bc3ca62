"""What the steps of an answer work with, built once with the engine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from bot.config import Settings
from bot.engine.answer.run import Run
from bot.engine.cache.near_answers import SimilarAnswers
from bot.engine.ports.attachment_reader import AttachmentReader
from bot.engine.ports.classifier import Classifier
from bot.engine.ports.clock import Clock
from bot.engine.ports.llm import LLM
from bot.engine.ports.memory import Memory
from bot.engine.ports.rewriter import Rewriter
from bot.engine.ports.search import Search
from bot.engine.ports.store import Store
from bot.engine.ports.summarizer import Summarizer
from bot.types.turns import Lease, Turn
from bot.types.usage import Call
from knowledge.types import Scope

HISTORY_SHARE = 2500 / 8000


@dataclass(frozen=True, slots=True)
class Context:
    """The engine's neighbours and its settings. ``monotonic`` is in seconds."""

    store: Store
    search: Search
    llm: LLM
    settings: Settings
    count: Callable[[str], int]
    classifier: Classifier
    clock: Clock
    monotonic: Callable[[], float]
    memory: Memory | None = None
    rewriter: Rewriter | None = None
    near: SimilarAnswers | None = None
    reader: AttachmentReader | None = None
    summarizer: Summarizer | None = None

    def run(self, turn: Turn, lease: Lease, scope: Scope) -> Run:
        """A run of the turn, whose provider calls are on record before they are sent."""
        now = self.monotonic()
        run = Run(turn, lease, now, scope, confirmed=now)

        async def opens(call: Call) -> None:
            held, tokens = run.reservation, run.needed(call)
            await self.store.open_call(turn, call, held, tokens=tokens)
            if held is not None and tokens is not None:
                run.reservation = replace(held, tokens=tokens)

        run.opens = opens
        return run

    def share(self, share: float) -> int:
        """So many tokens of the prompt."""
        return int(self.settings.prompt_tokens * share)

    def since(self, start: float) -> float:
        """Milliseconds since ``start``, by the monotonic clock."""
        return round(1000 * (self.monotonic() - start), 2)
