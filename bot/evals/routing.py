"""How well the router tells questions that need the strong model from those that do not.

The data are JSONL: ``prompt``, and whether each model was right, ``strong_correct`` and ``weak_correct``. The curve is
the share of right answers when the highest scores go to the strong model; APGR is the share of the gap between the
models that the curve wins on average over all shares of strong calls. A router that draws lots has 0.5.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from itertools import groupby, pairwise
from pathlib import Path
from statistics import fmean
from typing import Any

from bot.engine.routing.weights import Weights
from bot.errors import UsageError
from bot.evals import jsonl
from bot.evals.metrics import percentile
from knowledge.ports import Embedder

SHARES = tuple(step / 20 for step in range(21))
RANDOM = 0.5
BATCH = 128


@dataclass(frozen=True, slots=True)
class Outcome:
    """A prompt and whether each model answered it rightly."""

    prompt: str
    strong_correct: bool
    weak_correct: bool

    @property
    def gain(self) -> int:
        """What the strong model adds: 1 where it alone is right, -1 where the cheap one alone is."""
        return self.strong_correct - self.weak_correct


def read(path: Path) -> list[Outcome]:
    """The outcomes of a file. Raises UsageError with the number of the line that is wrong."""
    outcomes = jsonl.read(path, _outcome, of="outcomes")
    if not outcomes:
        raise UsageError(f"{path} has no outcomes; each line is a JSON object with prompt and both verdicts.")
    return outcomes


def _outcome(row: Mapping[str, Any], where: str) -> Outcome:
    strong, weak = (jsonl.verdict(row, name, where) for name in ("strong_correct", "weak_correct"))
    return Outcome(jsonl.words(row, "prompt", where), strong, weak)


def gap(outcomes: Sequence[Outcome]) -> int:
    """How many more prompts the strong model has right. Raises UsageError where there are none to win."""
    total = sum(outcome.gain for outcome in outcomes)
    if total <= 0:
        raise UsageError("The strong model is not right more often than the cheap one here: there is nothing to route.")
    return total


def apgr(scores: Sequence[float], outcomes: Sequence[Outcome]) -> float:
    """The average share of the gap won, over all shares of strong calls; equal scores count as drawn by lot."""
    won = _won(scores, outcomes)
    area = fmean((before + after) / 2 for before, after in pairwise(won))
    return area / gap(outcomes)


def qualities(scores: Sequence[float], outcomes: Sequence[Outcome], shares: Sequence[float] = SHARES) -> list[float]:
    """The share of right answers at each share of strong calls."""
    won = _won(scores, outcomes)
    cheap = sum(outcome.weak_correct for outcome in outcomes)
    return [(cheap + won[round(share * len(outcomes))]) / len(outcomes) for share in shares]


def _won(scores: Sequence[float], outcomes: Sequence[Outcome]) -> list[float]:
    """The gain after each strong call, the highest score first; within equal scores the expected one."""
    ranked = sorted(zip(scores, (outcome.gain for outcome in outcomes), strict=True), key=lambda pair: -pair[0])
    won = [0.0]
    for _, tied in groupby(ranked, key=lambda pair: pair[0]):
        gains = [gain for _, gain in tied]
        before, mean = won[-1], fmean(gains)
        won.extend([before + mean * n for n in range(1, len(gains) + 1)])
    return won


def evaluate(
    outcomes: Sequence[Outcome],
    weights: Weights,
    vectors: Sequence[Sequence[float]] | None = None,
    *,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, Any]:
    """The curve of the local router beside the lines of drawing lots and of going by the prompt's length.

    ``vectors`` are the prompts' by the embedding model that the weights were trained for; making them is no part of the
    latency, since the search needs them anyway. Raises UsageError.
    """
    gap(outcomes)
    scores, times = [], []
    for row, outcome in enumerate(outcomes):
        vector = vectors[row] if vectors is not None else None
        began = clock()
        scores.append(weights.score(outcome.prompt, vector))
        times.append(1000 * (clock() - began))
    lengths = [len(outcome.prompt) for outcome in outcomes]
    curve = zip(SHARES, qualities(scores, outcomes), strict=True)
    return {
        "apgr": round(apgr(scores, outcomes), 4),
        "apgr_random": RANDOM,
        "apgr_length": round(apgr(lengths, outcomes), 4),
        "curve": [{"strong_share": share, "quality": round(quality, 4)} for share, quality in curve],
        "latency_ms": {"p50": round(percentile(times, 0.5), 3), "p99": round(percentile(times, 0.99), 3)},
    }


async def encoded(prompts: Sequence[str], embedder: Embedder) -> list[list[float]]:
    """The vectors of prompts, as search queries; the embedder is closed. Raises EmbeddingError."""
    order = sorted(range(len(prompts)), key=lambda row: len(prompts[row]))
    vectors: dict[int, list[float]] = {}
    async with aclosing(embedder):
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            made = await embedder.encode([prompts[row] for row in rows], "query")
            vectors |= {row: [float(value) for value in vector] for row, vector in zip(rows, made.vectors, strict=True)}
    return [vectors[row] for row in range(len(prompts))]


def table(document: Mapping[str, Any]) -> tuple[tuple[str, ...], list[tuple[str | float, ...]]]:
    """A measurement as a table for a person: the curve, and what drawing lots gives at the same share."""
    curve = document["curve"]
    none, everything = float(curve[0]["quality"]), float(curve[-1]["quality"])
    rows: list[tuple[str | float, ...]] = [
        (
            f"{point['strong_share']:.0%}",
            float(point["quality"]),
            none + float(point["strong_share"]) * (everything - none),
        )
        for point in curve
    ]
    return ("strong calls", "right answers", "by lot"), rows


def summary(document: Mapping[str, Any]) -> str:
    """A measurement in a line."""
    latency = document["latency_ms"]
    return (
        f"APGR {document['apgr']:.3f} (by lot {document['apgr_random']:.3f}, by the prompt's length "
        f"{document['apgr_length']:.3f}); {latency['p50']:.2f} ms a question (p99 {latency['p99']:.2f} ms)"
    )
