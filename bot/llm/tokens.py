"""Counts tokens locally: the count of OpenAI's ``o200k`` encoding, estimated by script and length of words, times a
ratio learned from the usage that providers report.

No tokenizer is downloaded or shipped. ``python -m benchmarks.train_token_estimate`` learns the weights from a real one.
The estimate is rather too high, because a reservation that is too large is corrected at settlement, while one that is
too small exceeds the budget.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cache, lru_cache
from importlib import resources

SCRIPTS: Mapping[str, str] = {
    "han": r"\u2e80-\u2fdf\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff",
    "kana": r"\u3040-\u30ff\u31f0-\u31ff\uff66-\uff9f",
    "hangul": r"\u1100-\u11ff\u3130-\u318f\uac00-\ud7ff",
    "arabic": r"\u0590-\u08ff",
    "indic": r"\u0900-\u0dff",
    "southeast": r"\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff",
    "cyrillic": r"\u0370-\u052f",
}
"""Scripts with weights of their own: the characters of their words, as a class of a regular expression."""

_UPPER = r"A-Z\u00c0-\u00d6\u00d8-\u00de"
_LOWER = r"a-z\u00df-\u00f6\u00f8-\u024f\u0300-\u036f\u1e00-\u1eff"
_PIECES = re.compile(
    rf"(?P<latin>[^\r\n\w]?(?:[{_UPPER}]*[{_LOWER}]+|[{_UPPER}]+))"
    + "".join(rf"|(?P<{name}>[^\r\n\w]?[{letters}]+)" for name, letters in SCRIPTS.items())
    + r"|(?P<digits>\d{1,3})"
    r"|(?P<letters>[^\r\n\w]?[^\W\d_])"
    r"|(?P<signs> ?(?:[^\s\w]|_)+[\r\n/]*)"
    r"|(?P<newlines>\s*[\r\n]+)"
    r"|(?P<spaces>\s+(?!\S)|\s+)",
)
"""Splits text much as the encoding does before it merges bytes: a word takes the space or sign before it along."""

_START_RATIO = 1.25
_BASE_RATIO = 1.0
_BASE_FAMILIES = ("gpt-", "chatgpt-", "o1", "o3", "o4")
"""Models whose encoding is the one that is estimated. Other models need more tokens until their ratio is learned."""
_MIN_RATIO, _MAX_RATIO = 0.5, 4.0
MARGIN = 1.03
_NEAR_SHARE = 0.9
_FILE = "token_weights.json"


@cache
def weights() -> Mapping[str, float]:
    """Return the tokens that each feature of ``features`` adds, as shipped."""
    read: dict[str, float] = json.loads(resources.files(__package__).joinpath(_FILE).read_text(encoding="utf-8"))
    return read


def features(text: str) -> Counter[str]:
    """Return what an estimate is made from: how many words of each script, and how many characters they are long."""
    found: Counter[str] = Counter()
    for match in _PIECES.finditer(text):
        kind, piece = match.lastgroup or "", match.group()
        if kind == "latin":
            _add_latin(found, piece if piece[0].isalpha() else piece[1:])
        elif kind in SCRIPTS:
            found[f"{kind} words"] += 1
            found[f"{kind} characters"] += len(piece) - (not piece[0].isalpha())
        elif kind == "signs":
            signs = piece.strip()
            if any(ord(sign) >= 0x2000 for sign in signs):
                found["symbols"] += len(signs)
            else:
                found["signs"] += 1
                found["signs from the 3rd"] += max(0, len(signs) - 2)
        else:
            found[kind] += 1
    return found


def _add_latin(found: Counter[str], word: str) -> None:
    if word.isupper() and len(word) > 1:
        found["capitals"] += 1
        found["capitals from the 4th"] += max(0, len(word) - 3)
        return
    kind = "plain" if word.isascii() else "accented"
    found[f"{kind} words"] += 1
    found[f"{kind} characters from the 5th"] += max(0, min(len(word), 9) - 4)
    found[f"{kind} characters from the 10th"] += max(0, len(word) - 9)


def base_count(text: str) -> int:
    """Return an estimate of the tokens in the ``o200k`` encoding."""
    known = weights()
    return math.ceil(sum(known[name] * count for name, count in features(text).items()))


@cache
def max_tokens_per_character() -> float:
    """Return an upper bound of the tokens counted for one character of a long text."""
    known = weights()
    words = [known[f"{name} words"] + known[f"{name} characters"] for name in SCRIPTS]
    return max(*known.values(), *words) * _MAX_RATIO * MARGIN


def is_near(estimate: int, limit: int) -> bool:
    """Return whether an estimate is so close to a limit that an exact count is needed."""
    return estimate >= _NEAR_SHARE * limit


CACHED_FROM_CHARS = 400
"""Counts of longer texts are cached, because the same prompts and passages are counted repeatedly."""

_cached_count = lru_cache(maxsize=64)(base_count)


class TokenCounter:
    """Counts tokens for any model. ``count`` estimates, rather too high; ``learn`` corrects it with reported usage.

    ``models`` are those that will be asked, as far as they are known.
    """

    def __init__(self, models: Iterable[str] = ()) -> None:
        self._ratios: dict[str, float] = {model: _start_ratio(model) for model in models}
        self._learned: set[str] = set()

    def count(self, text: str, model: str | None = None) -> int:
        """Return the tokens of ``text`` for ``model``; without a model, for the known model with the highest ratio."""
        if not text:
            return 0
        base = _cached_count(text) if len(text) >= CACHED_FROM_CHARS else base_count(text)
        return max(1, math.ceil(base * self._ratio(model) * MARGIN))

    def learn(self, model: str, estimated: int, real: int) -> None:
        """Learn that a text of ``estimated`` tokens, by ``count``, has ``real`` tokens by the provider's report.

        The ratio rises quickly, falls slowly and stays within fixed bounds.
        """
        if estimated <= 0 or real <= 0:
            return
        before = self._ratio(model)
        observed = before * MARGIN * real / estimated
        weight = 0.5 if observed > before else 0.1
        self._ratios[model] = _bounded(before + weight * (observed - before))
        self._learned.add(model)

    def learned(self) -> dict[str, float]:
        """Return the ratios that this counter has learned by itself, by model, to be stored."""
        return {model: self._ratios[model] for model in self._learned}

    def restore(self, ratios: Mapping[str, float]) -> None:
        """Use ratios that were learned earlier. What this counter has learned by itself remains."""
        for model, ratio in ratios.items():
            if model not in self._learned:
                self._ratios[model] = _bounded(ratio)

    def _ratio(self, model: str | None) -> float:
        if model is None:
            return max(self._ratios.values(), default=_BASE_RATIO)
        return self._ratios.get(model, _start_ratio(model))


def _start_ratio(model: str) -> float:
    return _BASE_RATIO if model.rpartition("/")[2].startswith(_BASE_FAMILIES) else _START_RATIO


def _bounded(ratio: float) -> float:
    return min(_MAX_RATIO, max(_MIN_RATIO, ratio))
