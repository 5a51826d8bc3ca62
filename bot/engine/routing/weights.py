"""The weights of the local classifier, as they lie beside this module and as training writes them."""

from __future__ import annotations

import bisect
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib import resources

from bot.engine.routing.features import SHAPE, demands, shape, vocabulary

DEMAND = 0.25
"""What each kind of work that is asked for in so many words adds to a score."""
MOST_DEMANDS = 2
_FILE = "weights.json"


@dataclass(frozen=True, slots=True)
class Weights:
    """A linear model of how much more often the strong model is right, and its calibration.

    ``gain = bias + shape . values + sum(words) / sqrt(different words)``. ``quantiles`` are the gains of questions
    that the model had not seen, at equal steps from the lowest to the highest. Raises ValueError where they do not fit.
    """

    bias: float
    shape: Mapping[str, float]
    words: Mapping[str, float]
    quantiles: Sequence[float]
    questions: int

    def __post_init__(self) -> None:
        if tuple(self.shape) != SHAPE:
            raise ValueError("the weights were trained on other features; train them again")
        if len(self.quantiles) < 2 or list(self.quantiles) != sorted(self.quantiles):
            raise ValueError("the calibration of the weights does not rise; train them again")

    def gain(self, question: str) -> float:
        """How much more often the strong model is expected to be right on such a question, -1 to 1."""
        seen = vocabulary(question)
        known = sum(self.words[word] for word in sorted(seen) if word in self.words)
        formed = sum(value * slope for value, slope in zip(shape(question), self.shape.values(), strict=True))
        return self.bias + formed + known / math.sqrt(max(len(seen), 1))

    def score(self, question: str) -> float:
        """The share of the training questions that are easier, 0 to 1, and more for work that is asked for."""
        asked = DEMAND * min(demands(question), MOST_DEMANDS)
        return min(1.0, _place(self.gain(question), self.quantiles) + asked)

    def dumps(self) -> str:
        """As JSON, one entry a line, so that a change can be read."""
        return json.dumps(asdict(self), indent=0, ensure_ascii=False) + "\n"

    @classmethod
    def loads(cls, text: str) -> Weights:
        """Read what ``dumps`` wrote. Raises ValueError."""
        try:
            return cls(**json.loads(text))
        except TypeError as error:
            raise ValueError(f"these are no weights of the router: {error}") from None


@cache
def shipped() -> Weights:
    """The weights that come with Parley."""
    return Weights.loads(resources.files(__package__).joinpath(_FILE).read_text(encoding="utf-8"))


def _place(value: float, quantiles: Sequence[float]) -> float:
    """Where a value stands among quantiles, 0 to 1, straight lines between them."""
    steps = len(quantiles) - 1
    right = bisect.bisect_right(quantiles, value)
    if right == 0:
        return 0.0
    if right > steps:
        return 1.0
    low, high = quantiles[right - 1], quantiles[right]
    return (right - 1 + (value - low) / (high - low)) / steps
