"""Questions that mention nobody, in channels that want them answered: only where the documents surely hold the answer.

Until that is sure nothing is shown, stored or asked of a model, so that silence costs no more than a search.
"""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Awaitable, Callable

from bot.engine.ports.store import Store
from bot.types.conversation import Incoming
from bot.types.settings import ChannelSettings
from bot.types.usage import BudgetState
from knowledge.types import Found

ANSWERS, SECONDS = 5, 600.0
"""Answers that nobody asked for in one channel, at most, within so many seconds."""
WORDS = 4
"""A question of fewer words says too little to be sure of what it means."""
CHARS = 1_000
LEFT = 5_000
"""Tokens of the day that must be left to everybody concerned: a refusal must not break the silence."""

_QUESTION = re.compile(r"[?？](?:\s|$|[\"'”’)»])")


def is_question(text: str) -> bool:
    """Whether a message asks something, in one piece short enough to be meant so."""
    return len(text) <= CHARS and len(text.split()) >= WORDS and _QUESTION.search(text.strip()) is not None


def is_sure(found: Found) -> bool:
    """Whether the evidence is strong: surer than halfway from where it counts as weak to certainty."""
    return bool(found.passages) and found.confidence >= (1 + max(found.weak_below, found.decline_below)) / 2


def affordable(budgets: tuple[BudgetState, ...]) -> bool:
    """Whether enough is left of everybody's day."""
    return all(state.left >= LEFT for state in budgets)


class Bounds:
    """How often the bot may speak up by itself in a channel. ``monotonic`` is in seconds."""

    def __init__(self, monotonic: Callable[[], float], *, answers: int = ANSWERS, seconds: float = SECONDS) -> None:
        self._monotonic = monotonic
        self._answers = answers
        self._seconds = seconds
        self._spoken: dict[tuple[str, str], deque[float]] = {}

    def allow(self, tenant_id: str, channel_id: str) -> bool:
        """Whether it may speak up now."""
        spoken = self._of(tenant_id, channel_id)
        return len(spoken) < self._answers

    def spoke(self, tenant_id: str, channel_id: str) -> None:
        """It did."""
        self._spoken.setdefault((tenant_id, channel_id), deque()).append(self._monotonic())

    def _of(self, tenant_id: str, channel_id: str) -> deque[float]:
        spoken = self._spoken.get((tenant_id, channel_id), deque())
        while spoken and spoken[0] <= self._monotonic() - self._seconds:
            spoken.popleft()
        if not spoken:
            self._spoken.pop((tenant_id, channel_id), None)
        return spoken


class AutoAnswer:
    """Decides about messages that mention nobody. ``surely`` searches; nothing else here costs anything."""

    def __init__(self, store: Store, is_confident: Callable[[Incoming, ChannelSettings], Awaitable[bool]]) -> None:
        self._store = store
        self._surely = is_confident
        self._bounds = Bounds(time.monotonic)

    async def wants(self, incoming: Incoming) -> bool:
        """Whether the bot speaks up. Raises StoreAway and knowledge errors."""
        thread = incoming.thread
        if not is_question(incoming.text) or not self._bounds.allow(thread.tenant_id, thread.channel_id):
            return False
        settings = await self._store.settings(thread)
        if not settings.auto_answer or settings.paused is not None:
            return False
        if not affordable(await self._store.budgets(thread.tenant_id, thread.channel_id, incoming.author)):
            return False
        if not await self._surely(incoming, settings):
            return False
        self._bounds.spoke(thread.tenant_id, thread.channel_id)
        return True
