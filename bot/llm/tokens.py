"""Counts tokens locally: a base count by script, times a ratio learned from the usage that providers report.

No tokenizer is downloaded. The count is rather too high, because a reservation that is too large is corrected at
settlement, while one that is too small exceeds the budget.
"""

from __future__ import annotations

import math
import re
from functools import lru_cache

_PIECES = re.compile(
    r"(?P<latin>[A-Za-z]+)"
    r"|(?P<digits>\d+)"
    r"|(?P<newlines>\s*\n\s*)"
    r"|(?P<space>\s+)"
    r"|(?P<dense>[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff])"
    r"|(?P<letters>[^\W\d_A-Za-z]+)"
    r"|(?P<sign>.)",
    re.DOTALL,
)

_START_RATIO = 1.25
_MIN_RATIO, _MAX_RATIO = 0.5, 4.0
_MARGIN = 1.05
_NEAR_SHARE = 0.9
MAX_TOKENS_PER_CHARACTER = 2 * _MAX_RATIO * _MARGIN
"""Upper bound of the tokens counted for one character."""


def is_near(estimate: int, limit: int) -> bool:
    """Return whether an estimate is so close to a limit that an exact count is needed."""
    return estimate >= _NEAR_SHARE * limit


def base_count(text: str) -> int:
    """Return an approximate count: about one for a short Latin word, a CJK character, three digits or a sign."""
    total = 0
    for match in _PIECES.finditer(text):
        length = match.end() - match.start()
        match match.lastgroup:
            case "latin":
                total += 1 + max(0, length - 3) // 5
            case "digits" | "letters":
                total += math.ceil(length / 3)
            case "space":
                total += 1 if length > 1 else 0
            case "sign":
                total += 1 if ord(match.group()) < 0x2000 else 2
            case _:
                total += 1
    return total


CACHED_FROM_CHARS = 400
"""Counts of longer texts are cached, because the same prompts and passages are counted repeatedly."""

_cached_count = lru_cache(maxsize=64)(base_count)


class TokenCounter:
    """Counts tokens for any model. ``count`` estimates, rather too high; ``learn`` corrects it with reported usage."""

    def __init__(self) -> None:
        self._ratios: dict[str, float] = {}

    def count(self, text: str, model: str | None = None) -> int:
        """Return the tokens of ``text`` for ``model``; without a model, for the known model with the highest ratio."""
        if not text:
            return 0
        base = _cached_count(text) if len(text) >= CACHED_FROM_CHARS else base_count(text)
        return max(1, math.ceil(base * self._ratio(model) * _MARGIN))

    def learn(self, model: str, estimated: int, real: int) -> None:
        """Learn that a text of ``estimated`` tokens, by ``count``, has ``real`` tokens by the provider's report.

        The ratio rises quickly, falls slowly and stays within fixed bounds.
        """
        if estimated <= 0 or real <= 0:
            return
        before = self._ratio(model)
        observed = before * _MARGIN * real / estimated
        weight = 0.5 if observed > before else 0.1
        self._ratios[model] = min(_MAX_RATIO, max(_MIN_RATIO, before + weight * (observed - before)))

    def _ratio(self, model: str | None) -> float:
        if model is None:
            return max(self._ratios.values(), default=_START_RATIO)
        return self._ratios.get(model, _START_RATIO)
