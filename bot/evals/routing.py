"""Evaluates the router: how reliably it finds the questions that need the strong model.

The data is JSONL: ``prompt``, and whether each model was right, ``strong_correct`` and ``weak_correct``. The curve is
the share of right answers when the prompts with the highest scores go to the strong model. APGR (average performance
gap recovered) is the share of the gap between the models that the curve closes, averaged over all shares of strong
calls. A random router has 0.5.
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
    """A prompt, and whether each model answered it correctly."""

    prompt: str
    strong_correct: bool
    weak_correct: bool

    @property
    def gain(self) -> int:
        """Return what the strong model adds: 1 if only it is right, -1 if only the cheap model is, else 0."""
        return self.strong_correct - self.weak_correct


def read(path: Path) -> list[Outcome]:
    """Return the outcomes of a file. Raises UsageError with the number of the invalid line."""
    outcomes = jsonl.read(path, _outcome, of="outcomes")
    if not outcomes:
        raise UsageError(
            f"{path} has no outcomes. Each line must be a JSON object with prompt, strong_correct and weak_correct."
        )
    return outcomes


def _outcome(row: Mapping[str, Any], where: str) -> Outcome:
    strong, weak = (jsonl.boolean(row, name, where) for name in ("strong_correct", "weak_correct"))
    return Outcome(jsonl.text(row, "prompt", where), strong, weak)


def gap(outcomes: Sequence[Outcome]) -> int:
    """Return how many more prompts the strong model answers correctly. Raises UsageError if there are none."""
    total = sum(outcome.gain for outcome in outcomes)
    if total <= 0:
        raise UsageError("The strong model is not right more often than the cheap one, so routing cannot be measured.")
    return total


def apgr(scores: Sequence[float], outcomes: Sequence[Outcome]) -> float:
    """Return the average share of the gap closed over all shares of strong calls. Equal scores count as random."""
    gains = _cumulative_gains(scores, outcomes)
    area = fmean((before + after) / 2 for before, after in pairwise(gains))
    return area / gap(outcomes)


def qualities(scores: Sequence[float], outcomes: Sequence[Outcome], shares: Sequence[float] = SHARES) -> list[float]:
    """Return the share of right answers at each share of strong calls."""
    gains = _cumulative_gains(scores, outcomes)
    cheap = sum(outcome.weak_correct for outcome in outcomes)
    return [(cheap + gains[round(share * len(outcomes))]) / len(outcomes) for share in shares]


def _cumulative_gains(scores: Sequence[float], outcomes: Sequence[Outcome]) -> list[float]:
    """Return the gain after each strong call, highest score first; within equal scores, the expected gain."""
    ranked = sorted(zip(scores, (outcome.gain for outcome in outcomes), strict=True), key=lambda pair: -pair[0])
    cumulative = [0.0]
    for _, tied in groupby(ranked, key=lambda pair: pair[0]):
        gains = [gain for _, gain in tied]
        before, mean = cumulative[-1], fmean(gains)
        cumulative.extend([before + mean * n for n in range(1, len(gains) + 1)])
    return cumulative


def evaluate(
    outcomes: Sequence[Outcome],
    weights: Weights,
    vectors: Sequence[Sequence[float]] | None = None,
    *,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, Any]:
    """Return the local router's curve and APGR, with the APGR of a random router and of routing by prompt length.

    ``vectors`` are the prompts' vectors by the embedding model that the weights were trained for. Encoding is not part
    of the latency, because the search needs the vectors anyway. Raises UsageError.
    """
    gap(outcomes)
    scores, times = [], []
    for row, outcome in enumerate(outcomes):
        vector = vectors[row] if vectors is not None else None
        started = clock()
        scores.append(weights.score(outcome.prompt, vector))
        times.append(1000 * (clock() - started))
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
    """Return the vectors of prompts, encoded as search queries. Closes the embedder. Raises EmbeddingError."""
    order = sorted(range(len(prompts)), key=lambda row: len(prompts[row]))
    vectors: dict[int, list[float]] = {}
    async with aclosing(embedder):
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            encoding = await embedder.encode([prompts[row] for row in rows], "query")
            vectors |= {
                row: [float(value) for value in vector] for row, vector in zip(rows, encoding.vectors, strict=True)
            }
    return [vectors[row] for row in range(len(prompts))]


def table(document: Mapping[str, Any]) -> tuple[tuple[str, ...], list[tuple[str | float, ...]]]:
    """Return the curve as a table, with the quality of a random router at the same share."""
    curve = document["curve"]
    cheap_only, strong_only = float(curve[0]["quality"]), float(curve[-1]["quality"])
    rows: list[tuple[str | float, ...]] = [
        (
            f"{point['strong_share']:.0%}",
            float(point["quality"]),
            cheap_only + float(point["strong_share"]) * (strong_only - cheap_only),
        )
        for point in curve
    ]
    return ("strong calls", "right answers", "random router"), rows


def summary(document: Mapping[str, Any]) -> str:
    """Return the result as one line."""
    latency = document["latency_ms"]
    return (
        f"APGR {document['apgr']:.3f} (random {document['apgr_random']:.3f}, by prompt length "
        f"{document['apgr_length']:.3f}); {latency['p50']:.2f} ms per question (p99 {latency['p99']:.2f} ms)"
    )
