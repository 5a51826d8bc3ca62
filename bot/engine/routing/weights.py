"""The weights of the local classifier, as they lie beside this module and as training writes them."""

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
"""What each kind of work that is asked for in so many words adds to a score."""
MOST_DEMANDS = 2
_FILE = "weights.json"


@dataclass(frozen=True, slots=True)
class Linear:
    """A linear model of how much more often the strong model is right, and its calibration.

    ``quantiles`` are the gains of questions that the model had not seen, at equal steps from the lowest to the
    highest. Raises ValueError where the parts do not fit.
    """

    bias: float
    shape: Mapping[str, float]
    vector: Sequence[float]
    quantiles: Sequence[float]

    def __post_init__(self) -> None:
        if tuple(self.shape) != SHAPE:
            raise ValueError("the weights were trained on other features; train them again")
        if len(self.quantiles) < 2 or list(self.quantiles) != sorted(self.quantiles):
            raise ValueError("the calibration of the weights does not rise; train them again")

    def place(self, formed: Sequence[float], vector: Sequence[float]) -> float:
        """The share of the training questions that promise less of the strong model, 0 to 1."""
        gain = self.bias + _product(formed, tuple(self.shape.values())) + _product(vector, self.vector)
        return _place(gain, self.quantiles)


@dataclass(frozen=True, slots=True)
class Weights:
    """Two models: one that sees a question's form and its vector by ``embedding_model``, one that sees its form."""

    embedding_model: str
    meaning: Linear
    form: Linear

    def fits(self, vector: Sequence[float] | None) -> bool:
        """Whether a vector can be of the model that the weights were trained for."""
        return vector is not None and len(vector) == len(self.meaning.vector)

    def score(self, question: str, vector: Sequence[float] | None = None) -> float:
        """How hard the question looks, 0 to 1: its place among the training questions, and more for work asked for."""
        formed = shape(question)
        if vector is not None and self.fits(vector):
            place = self.meaning.place(formed, vector)
        else:
            place = self.form.place(formed, ())
        return min(1.0, place + DEMAND * min(demands(question), MOST_DEMANDS))

    def dumps(self) -> str:
        """As JSON, one entry a line, so that a change can be read."""
        return json.dumps(asdict(self), indent=0, ensure_ascii=False) + "\n"

    @classmethod
    def loads(cls, text: str) -> Weights:
        """Read what ``dumps`` wrote. Raises ValueError."""
        try:
            read: dict[str, Any] = json.loads(text)
            return cls(str(read["embedding_model"]), Linear(**read["meaning"]), Linear(**read["form"]))
        except (TypeError, KeyError) as error:
            raise ValueError(f"these are no weights of the router: {error}") from None


@cache
def shipped() -> Weights:
    """The weights that come with Parley."""
    return Weights.loads(resources.files(__package__).joinpath(_FILE).read_text(encoding="utf-8"))


def _product(values: Sequence[float], slopes: Sequence[float]) -> float:
    return float(sum(value * slope for value, slope in zip(values, slopes, strict=True)))


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
