"""Trains the local router, and measures how well it generalizes.

    python -m benchmarks.train_routing OUTCOMES.jsonl [--vectors KEPT.npy] [--write]

Each line has ``set``, ``subject``, ``prompt``, ``strong_correct`` and ``weak_correct``. Prints APGR in each set (5
folds), on subjects that were not trained on (5 folds, 3 times) and on the other set, and for comparison APGR by the
length of the prompt on the same rows. ``--write`` replaces the shipped weights with ones trained on all lines.
``--vectors`` saves the prompts' vectors, which take minutes to compute, for the next run. Deterministic.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bot.engine.routing import weights as shipped
from bot.engine.routing.features import SHAPE, shape
from bot.engine.routing.weights import Linear, Weights
from bot.errors import UsageError
from bot.evals import jsonl
from bot.evals.routing import Outcome, apgr, encoded, qualities, read
from knowledge.embedders import build_embedder
from knowledge.packaged_models import OFFLINE_MODEL

FOLDS = 5
REPEATS = 3
QUANTILES = 101
SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
WORDS = SHAPE.index("words")

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]
Names = npt.NDArray[np.str_]


@dataclass(frozen=True)
class Penalties:
    """Regularization of the slopes. ``vector`` is None if the vector is not used."""

    shape: float
    vector: float | None = None


MODELS = {
    "form": Penalties(40000.0),
    "meaning": Penalties(20000.0, 150.0),
}
"""The models to train. A strong penalty costs a little in domain and generalizes better."""


@dataclass(frozen=True)
class Data:
    """The outcomes, row by row, with the features of each prompt."""

    outcomes: Sequence[Outcome]
    sets: Names
    subjects: Names
    shapes: Floats
    vectors: Floats
    gains: Floats

    def features(self, rows: Ints, penalties: Penalties) -> Floats:
        """Return the features that a model reads for some rows."""
        shapes = self.shapes[rows]
        return shapes if penalties.vector is None else np.hstack([shapes, self.vectors[rows]])

    def apgr(self, scores: Floats, rows: Ints) -> float:
        """Return the APGR of the scores of some rows."""
        return apgr(scores.tolist(), [self.outcomes[row] for row in rows])

    @property
    def lengths(self) -> Floats:
        """Return the characters of each prompt."""
        return np.array([float(len(outcome.prompt)) for outcome in self.outcomes])


@dataclass(frozen=True)
class Trained:
    """A linear model of the gain."""

    slopes: Floats
    bias: float
    penalties: Penalties

    def gains(self, data: Data, rows: Ints) -> Floats:
        """Return the expected gain of the strong model on each row."""
        found: Floats = self.bias + data.features(rows, self.penalties) @ self.slopes
        return found


def load(path: Path, cache_file: Path | None) -> Data:
    """Load the data of a file. Raises UsageError."""
    outcomes = read(path)
    rows = jsonl.read(path, lambda row, _: row, of="questions")
    try:
        sets, subjects = [str(row["set"]) for row in rows], [str(row["subject"]) for row in rows]
    except KeyError as error:
        raise UsageError(f"{path}: a line without {error}; training needs set and subject in each.") from None
    prompts = [outcome.prompt for outcome in outcomes]
    return Data(
        outcomes,
        np.array(sets),
        np.array(subjects),
        np.array([shape(prompt) for prompt in prompts]),
        _vectors(prompts, cache_file),
        np.array([float(outcome.gain) for outcome in outcomes]),
    )


def _vectors(prompts: Sequence[str], cache_file: Path | None) -> Floats:
    if cache_file is not None and cache_file.is_file():
        vectors: Floats = np.load(cache_file).astype(np.float64)
        if len(vectors) != len(prompts):
            raise UsageError(f"{cache_file} has {len(vectors)} vectors for {len(prompts)} prompts; delete it.")
        return vectors
    print(f"Encoding {len(prompts)} prompts, which takes minutes", file=sys.stderr)
    vectors = np.array(asyncio.run(encoded(prompts, build_embedder(OFFLINE_MODEL))))
    if cache_file is not None:
        np.save(cache_file, vectors.astype(np.float32))
    return vectors


def train(data: Data, rows: Ints, penalties: Penalties) -> Trained:
    """Train a ridge regression on what the length does not explain, so that the penalty does not shrink the length's
    slope."""
    features, gains = data.features(rows, penalties), data.gains[rows]
    centre, mean = features.mean(axis=0), gains.mean()
    centred = features - centre
    words = centred[:, WORDS]
    by_length = float(words @ (gains - mean) / (words @ words))
    penalty = np.full(features.shape[1], penalties.vector or 0.0)
    penalty[: len(SHAPE)] = penalties.shape * (centred[:, : len(SHAPE)].var(axis=0) + 1e-9)
    left = gains - mean - by_length * words
    slopes = np.linalg.solve(centred.T @ centred + np.diag(penalty), centred.T @ left)
    slopes[WORDS] += by_length
    return Trained(slopes, float(mean - centre @ slopes), penalties)


def folds(keys: Names, seed: int = 0) -> Iterator[tuple[Ints, Ints]]:
    """Yield five train and test splits of equal size; rows with the same key are on the same side."""
    names, sizes = np.unique(keys, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(names))
    full, fold_of = [0] * FOLDS, {}
    for name, size in sorted(zip(names[order], sizes[order], strict=True), key=lambda pair: -pair[1]):
        fold_of[name] = full.index(min(full))
        full[fold_of[name]] += size
    numbers = np.array([fold_of[key] for key in keys])
    for number in range(FOLDS):
        yield np.flatnonzero(numbers != number), np.flatnonzero(numbers == number)


def splits(data: Data) -> Iterator[tuple[str, list[tuple[Ints, Ints]]]]:
    """Yield each evaluation by name, with the training and test rows of every repetition."""
    each = {str(name): np.flatnonzero(data.sets == name) for name in np.unique(data.sets)}
    for name, rows in each.items():
        yield (
            f"{name}, in domain",
            [(rows[train_rows], rows[test_rows]) for train_rows, test_rows in folds(rows.astype(str))],
        )
    for name, rows in each.items():
        subjects = data.subjects[rows]
        if len(np.unique(subjects)) >= FOLDS:
            repeated = [pair for seed in range(REPEATS) for pair in folds(subjects, seed)]
            yield (
                f"{name}, unseen subjects",
                [(rows[train_rows], rows[test_rows]) for train_rows, test_rows in repeated],
            )
    for name, rows in each.items():
        for other, others in each.items():
            if other != name:
                yield f"{other}, trained on {name}", [(rows, others)]


def show_generalization(data: Data) -> None:
    """Print the APGR of each model in each evaluation, averaged over the folds."""
    lengths = data.lengths
    print(f"\n{'APGR (random: 0.5)':32}{'length':>9}" + "".join(f"{name:>9}" for name in MODELS))
    for title, pairs in splits(data):
        row = [float(np.mean([data.apgr(lengths[rest], rest) for _, rest in pairs]))]
        for penalties in MODELS.values():
            scores = [(train(data, train_rows, penalties).gains(data, rest), rest) for train_rows, rest in pairs]
            row.append(float(np.mean([data.apgr(score, rest) for score, rest in scores])))
        print(f"{title:32}" + "".join(f"{value:9.3f}" for value in row))


def show_curve(data: Data) -> None:
    """Print the correct answers at each share of strong calls, on unseen subjects, averaged over the folds."""
    keys = np.array([subject if subject != name else f"{name} {row % FOLDS}" for row, (subject, name) in _named(data)])
    shares = (0.0, *SHARES, 1.0)
    lines: dict[str, Floats] = {}
    for name in ("length", *MODELS):
        curves = []
        for train_rows, rest in folds(keys):
            scores = data.lengths[rest] if name == "length" else train(data, train_rows, MODELS[name]).gains(data, rest)
            curves.append(qualities(scores.tolist(), [data.outcomes[row] for row in rest], shares))
        lines[name] = np.mean(curves, axis=0)
    cheap, strong = lines["length"][0], lines["length"][-1]
    print("\nCorrect answers by the share of strong calls, unseen subjects")
    print(f"{'strong':>8}{'random':>9}" + "".join(f"{name:>9}" for name in lines) + f"{'share of gap':>13}")
    for place, share in enumerate(shares):
        row = [cheap + share * (strong - cheap), *(line[place] for line in lines.values())]
        gap_share = (lines["meaning"][place] - cheap) / (strong - cheap)
        print(f"{share:8.0%}" + "".join(f"{value:9.4f}" for value in row) + f"{gap_share:13.0%}")


def _named(data: Data) -> Iterator[tuple[int, tuple[str, str]]]:
    return enumerate(zip(map(str, data.subjects), map(str, data.sets), strict=True))


def final(data: Data, penalties: Penalties) -> Linear:
    """Train a model on all rows, calibrated by the gains that models of four folds predict for the fifth."""
    everything = np.arange(len(data.gains))
    model = train(data, everything, penalties)
    unseen = np.zeros(len(everything))
    for train_rows, rest in folds(everything.astype(str)):
        unseen[rest] = train(data, train_rows, penalties).gains(data, rest)
    shape_slopes, vector_slopes = model.slopes[: len(SHAPE)], model.slopes[len(SHAPE) :]
    return Linear(
        round(model.bias, 6),
        {name: round(float(slope), 6) for name, slope in zip(SHAPE, shape_slopes, strict=True)},
        [round(float(slope), 5) for slope in vector_slopes],
        [round(float(cut), 5) for cut in np.quantile(unseen, np.linspace(0, 1, QUANTILES))],
    )


def main() -> int:
    parser = argparse.ArgumentParser(description="Train the local router and measure how well it generalizes.")
    parser.add_argument("outcomes", type=Path, nargs="?")
    parser.add_argument("--vectors", type=Path, metavar="KEPT.npy")
    parser.add_argument("--write", action="store_true", help="replace the shipped weights")
    options = parser.parse_args()
    if options.outcomes is None:
        print("Nothing trained: give a JSONL file with set, subject, prompt, strong_correct and weak_correct.")
        return 0
    try:
        data = load(options.outcomes, options.vectors)
    except UsageError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{len(data.gains)} outcomes")
    show_generalization(data)
    show_curve(data)
    if options.write:
        weights = Weights(OFFLINE_MODEL, final(data, MODELS["meaning"]), final(data, MODELS["form"]))
        path = Path(shipped.__file__).with_name("weights.json")
        path.write_text(weights.dumps(), encoding="utf-8")
        print(f"\nWritten to {path.name}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
