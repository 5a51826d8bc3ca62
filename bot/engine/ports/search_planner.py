"""Port to search planning, which names what the passages of a question lack."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from bot.engine.ports.llm import Meter, Prompt
from knowledge.types.search_results import Passage


@dataclass(frozen=True, slots=True)
class SearchPlan:
    """What the passages lack, in a few words, and the searches that may find it; no searches if they lack nothing.

    A model wrote both: they may be nonsense, too many, or ask for what was searched already.
    """

    missing: str = ""
    searches: tuple[str, ...] = ()


class SearchPlanner(Protocol):
    """Asks a model which further searches a question needs. Raises LLMError, OverBudget."""

    def prompt(
        self, question: str, passages: Sequence[Passage], searched: Sequence[str], *, most: int, cache_key: str = ""
    ) -> Prompt:
        """Return the request to the model, so that its cost can be counted before it is sent.

        ``searched`` are the searches that found the ``passages``; ``most`` is the number of searches that are left.
        """

    async def __call__(self, request: Prompt, *, meter: Meter) -> SearchPlan: ...
