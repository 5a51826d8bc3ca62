"""Decides whether to answer a question without a mention: only if the documents certainly contain the answer.

Until this is certain, nothing is shown, stored or sent to a model, so a declined question costs only a search.
"""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Awaitable, Callable

from bot.engine.ports.stores import Stores
from bot.types.bounded_mapping import RecentEntries
from bot.types.conversation import Incoming, ThreadKey
from bot.types.settings import ChannelSettings
from bot.types.usage import BudgetState

MAX_ANSWERS, WINDOW_SECONDS = 5, 600.0
"""Maximum number of unrequested answers in one channel within the window, and its length in seconds."""
MIN_WORDS = 4
"""Least number of words of a question. The meaning of a shorter one is too uncertain."""
MAX_CHARS = 1_000
MIN_TOKENS_LEFT = 5_000
"""Tokens that must be left under every limit, so that an unrequested answer is never refused for lack of tokens."""

_QUESTION = re.compile(r"[?？](?:\s|$|[\"'”’)»])")


def may_be_question(text: str) -> bool:
    """Return whether a text that is not yet decoded can be a question."""
    return "?" in text or "？" in text


def is_question(text: str) -> bool:
    """Return whether a message is a question and is short enough to be meant as one."""
    return len(text) <= MAX_CHARS and len(text.split()) >= MIN_WORDS and _QUESTION.search(text.strip()) is not None


def affordable(budgets: tuple[BudgetState, ...]) -> bool:
    """Return whether every limit has enough tokens left today."""
    return all(state.left >= MIN_TOKENS_LEFT for state in budgets)


class ChannelRateLimit:
    """Limits how often the bot answers without a mention in a channel. ``monotonic`` returns seconds."""

    def __init__(
        self, monotonic: Callable[[], float], *, answers: int = MAX_ANSWERS, seconds: float = WINDOW_SECONDS
    ) -> None:
        self._monotonic = monotonic
        self._answers = answers
        self._seconds = seconds
        self._answered: RecentEntries[tuple[str, str], deque[float]] = RecentEntries()

    def allow(self, tenant_id: str, channel_id: str) -> bool:
        """Return whether the channel may get another unrequested answer now."""
        return len(self._recent(tenant_id, channel_id)) < self._answers

    def answered(self, tenant_id: str, channel_id: str) -> None:
        """Count an answer."""
        self._answered.setdefault((tenant_id, channel_id), deque()).append(self._monotonic())

    def _recent(self, tenant_id: str, channel_id: str) -> deque[float]:
        answered = self._answered.get((tenant_id, channel_id), deque())
        while answered and answered[0] <= self._monotonic() - self._seconds:
            answered.popleft()
        if not answered:
            self._answered.pop((tenant_id, channel_id), None)
        return answered


class AutoAnswer:
    """Decides about messages without a mention. ``is_confident`` runs a search; all other checks are cheap."""

    def __init__(self, stores: Stores, is_confident: Callable[[Incoming, ChannelSettings], Awaitable[bool]]) -> None:
        self._stores = stores
        self._is_confident = is_confident
        self._rate_limit = ChannelRateLimit(time.monotonic)

    async def considers(self, thread: ThreadKey) -> bool:
        """Return whether the bot may answer without a mention there now. Raises StoreAway."""
        return await self._settings(thread) is not None

    async def wants(self, incoming: Incoming) -> bool:
        """Return whether the bot answers the message. Raises StoreAway and knowledge errors."""
        thread = incoming.thread
        if not is_question(incoming.text):
            return False
        settings = await self._settings(thread)
        if settings is None:
            return False
        if not affordable(await self._stores.budgets.budgets(thread.tenant_id, thread.channel_id, incoming.author)):
            return False
        if not await self._is_confident(incoming, settings):
            return False
        # Other messages of the channel may have used up the limit during the search.
        if not self._rate_limit.allow(thread.tenant_id, thread.channel_id):
            return False
        self._rate_limit.answered(thread.tenant_id, thread.channel_id)
        return True

    async def _settings(self, thread: ThreadKey) -> ChannelSettings | None:
        """Return the settings of a channel that may get another unrequested answer now."""
        if not self._rate_limit.allow(thread.tenant_id, thread.channel_id):
            return None
        settings = await self._stores.settings.channel_settings(thread)
        return settings if settings.auto_answer and settings.paused is None else None
