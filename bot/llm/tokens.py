"""Counts tokens without a provider: a base count by script, times a ratio learned from what providers reported.

No tokenizer is downloaded. The count errs high: a budget that is reserved too large is settled down, one that is too
small is overspent.
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
_LOWEST, _HIGHEST = 0.5, 4.0
_MARGIN = 1.05
_NEAR = 0.9
MOST_A_CHARACTER = 2 * _HIGHEST * _MARGIN
"""Tokens: no text is counted higher."""


def is_near(estimate: int, limit: int) -> bool:
    """Whether an estimate comes so close to a limit that only an exact count can tell."""
    return estimate >= _NEAR * limit


def base_count(text: str) -> int:
    """A tokenizer-like count: about one for a short Latin word, a CJK character, three digits or a sign."""
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


LONG = 400
"""Characters from which on a text's count is remembered: the same prompts and passages are counted again and again."""

_remembered = lru_cache(maxsize=64)(base_count)


class TokenCounter:
    """Counts for every model: ``count`` is an estimate that errs high, ``learn`` corrects it with a real number."""

    def __init__(self) -> None:
        self._ratios: dict[str, float] = {}

    def count(self, text: str, model: str | None = None) -> int:
        """Tokens of ``text`` for ``model``; without a model, for the hungriest of those known."""
        if not text:
            return 0
        counted = _remembered(text) if len(text) >= LONG else base_count(text)
        return max(1, math.ceil(counted * self._ratio(model) * _MARGIN))

    def learn(self, model: str, estimated: int, real: int) -> None:
        """``estimated`` is what ``count`` said for a text of which the provider then reported ``real`` tokens.

        A ratio rises quickly and falls slowly, and never leaves a sane range.
        """
        if estimated <= 0 or real <= 0:
            return
        before = self._ratio(model)
        seen = before * _MARGIN * real / estimated
        weight = 0.5 if seen > before else 0.1
        self._ratios[model] = min(_HIGHEST, max(_LOWEST, before + weight * (seen - before)))

    def _ratio(self, model: str | None) -> float:
        if model is None:
            return max(self._ratios.values(), default=_START_RATIO)
        return self._ratios.get(model, _START_RATIO)
