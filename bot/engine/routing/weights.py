"""Loads, saves and evaluates the weights of the local routing classifier (``weights.json``)."""

from __future__ import annotations

import bisect
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib import resources
from typing import Any

from bot.engine.routing.features import SHAPE, demands, shape

DEMAND = 0.25
"""Added to a score for each kind of work that the question explicitly asks for."""
MOST_DEMANDS = 2
"""Maximum number of kinds of work that count."""
_FILE = "weights.json"


@dataclass(frozen=True, slots=True)
class Linear:
    """A linear model of how much more often the strong model is right (the gain), and its calibration.

    ``quantiles`` are the gains of held-out questions at equal steps, from lowest to highest. Raises ValueError if the
    parts do not fit together.
    """

    bias: float
    shape: Mapping[str, float]
    vector: Sequence[float]
    quantiles: Sequence[float]

    def __post_init__(self) -> None:
        if tuple(self.shape) != SHAPE:
            raise ValueError("the weights were trained on other features. Train them again")
        if len(self.quantiles) < 2 or list(self.quantiles) != sorted(self.quantiles):
            raise ValueError("the calibration of the weights does not rise. Train them again")

    def place(self, formed: Sequence[float], vector: Sequence[float]) -> float:
        """Return the share of the training questions with a smaller gain, 0 to 1."""
        gain = self.bias + _product(formed, tuple(self.shape.values())) + _product(vector, self.vector)
        return _quantile_rank(gain, self.quantiles)


@dataclass(frozen=True, slots=True)
class Weights:
    """Two models: ``meaning`` uses lexical features and a vector of ``embedding_model``, ``form`` only the features."""

    embedding_model: str
    meaning: Linear
    form: Linear

    def fits(self, vector: Sequence[float] | None) -> bool:
        """Return whether a vector has the size of the embedding model that the weights were trained for."""
        return vector is not None and len(vector) == len(self.meaning.vector)

    def score(self, question: str, vector: Sequence[float] | None = None) -> float:
        """Return how hard the question looks, 0 to 1: its rank among the training questions plus ``DEMAND`` terms."""
        formed = shape(question)
        if vector is not None and self.fits(vector):
            place = self.meaning.place(formed, vector)
        else:
            place = self.form.place(formed, ())
        return min(1.0, place + DEMAND * min(demands(question), MOST_DEMANDS))

    def dumps(self) -> str:
        """Return the weights as JSON, one entry per line, so that changes are readable in a diff."""
        return json.dumps(asdict(self), indent=0, ensure_ascii=False) + "\n"

    @classmethod
    def loads(cls, text: str) -> Weights:
        """Read what ``dumps`` wrote. Raises ValueError."""
        try:
            read: dict[str, Any] = json.loads(text)
            return cls(str(read["embedding_model"]), Linear(**read["meaning"]), Linear(**read["form"]))
        except (TypeError, KeyError) as error:
            raise ValueError(f"not a weights file of the router: {error}") from None


@cache
def shipped() -> Weights:
    """Return the weights that ship with Parley."""
    return Weights.loads(resources.files(__package__).joinpath(_FILE).read_text(encoding="utf-8"))


def _product(values: Sequence[float], slopes: Sequence[float]) -> float:
    return float(sum(value * slope for value, slope in zip(values, slopes, strict=True)))


def _quantile_rank(value: float, quantiles: Sequence[float]) -> float:
    """Return the rank of a value among quantiles, 0 to 1, interpolated linearly."""
    steps = len(quantiles) - 1
    right = bisect.bisect_right(quantiles, value)
    if right == 0:
        return 0.0
    if right > steps:
        return 1.0
    low, high = quantiles[right - 1], quantiles[right]
    return (right - 1 + (value - low) / (high - low)) / steps
