"""Trains the local router and shows how well it generalizes.

    python -m benchmarks.train_routing OUTCOMES.jsonl [--vectors KEPT.npy] [--write]

Each line has ``set`` and ``subject`` beside ``prompt``, ``strong_correct`` and ``weak_correct``. Printed is APGR in
each set (5 folds), on subjects that were not trained on (5 folds, 3 times) and on the other set, beside the prompt's
length on the very same rows. ``--write`` replaces the shipped weights by ones trained on all lines; ``--vectors`` keeps
the prompts' vectors, which take minutes, from one run to the next. Deterministic.
"""

from __future__ import annotations

import argparse
import asyncio
import json
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
from bot.evals.routing import Outcome, apgr, encoded, qualities, read
from knowledge.embedders import OFFLINE_MODEL, build_embedder

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
    """How strongly the slopes are held down; those of the vector only where it is read at all."""

    shape: float
    vector: float | None = None


MODELS = {
    "form": Penalties(40000.0),
    "meaning": Penalties(20000.0, 150.0),
}
"""What is trained. A strong penalty costs a little in domain and carries further."""


@dataclass(frozen=True)
class Data:
    """The outcomes, row by row, with what is seen of each prompt."""

    outcomes: Sequence[Outcome]
    sets: Names
    subjects: Names
    shapes: Floats
    vectors: Floats
    gains: Floats

    def seen(self, rows: Ints, penalties: Penalties) -> Floats:
        """What a model reads of some rows."""
        shapes = self.shapes[rows]
        return shapes if penalties.vector is None else np.hstack([shapes, self.vectors[rows]])

    def apgr(self, scores: Floats, rows: Ints) -> float:
        """APGR of the scores of some rows."""
        return apgr(scores.tolist(), [self.outcomes[row] for row in rows])

    @property
    def lengths(self) -> Floats:
        """The characters of each prompt."""
        return np.array([float(len(outcome.prompt)) for outcome in self.outcomes])


@dataclass(frozen=True)
class Trained:
    """A linear model of the gain."""

    slopes: Floats
    bias: float
    penalties: Penalties

    def gains(self, data: Data, rows: Ints) -> Floats:
        """What the strong model is expected to add on each row."""
        found: Floats = self.bias + data.seen(rows, self.penalties) @ self.slopes
        return found


def load(path: Path, kept: Path | None) -> Data:
    """The data of a file. Raises UsageError."""
    outcomes = read(path)
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line.strip()]
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
        _vectors(prompts, kept),
        np.array([float(outcome.gain) for outcome in outcomes]),
    )


def _vectors(prompts: Sequence[str], kept: Path | None) -> Floats:
    if kept is not None and kept.is_file():
        vectors: Floats = np.load(kept).astype(np.float64)
        if len(vectors) != len(prompts):
            raise UsageError(f"{kept} has {len(vectors)} vectors for {len(prompts)} prompts; take it away.")
        return vectors
    print(f"Encoding {len(prompts)} prompts, which takes minutes", file=sys.stderr)
    vectors = np.array(asyncio.run(encoded(prompts, build_embedder(OFFLINE_MODEL))))
    if kept is not None:
        np.save(kept, vectors.astype(np.float32))
    return vectors


def train(data: Data, rows: Ints, penalties: Penalties) -> Trained:
    """Ridge regression of what the length leaves over, so that nothing learned pulls towards no length at all."""
    seen, gains = data.seen(rows, penalties), data.gains[rows]
    centre, mean = seen.mean(axis=0), gains.mean()
    centred = seen - centre
    words = centred[:, WORDS]
    by_length = float(words @ (gains - mean) / (words @ words))
    penalty = np.full(seen.shape[1], penalties.vector or 0.0)
    penalty[: len(SHAPE)] = penalties.shape * (centred[:, : len(SHAPE)].var(axis=0) + 1e-9)
    left = gains - mean - by_length * words
    slopes = np.linalg.solve(centred.T @ centred + np.diag(penalty), centred.T @ left)
    slopes[WORDS] += by_length
    return Trained(slopes, float(mean - centre @ slopes), penalties)


def folds(keys: Names, seed: int = 0) -> Iterator[tuple[Ints, Ints]]:
    """Return five splits into training and test rows, of equal size; rows with the same key are on the same side."""
    names, sizes = np.unique(keys, return_counts=True)
    drawn = np.random.default_rng(seed).permutation(len(names))
    full, fold_of = [0] * FOLDS, {}
    for name, size in sorted(zip(names[drawn], sizes[drawn], strict=True), key=lambda pair: -pair[1]):
        fold_of[name] = full.index(min(full))
        full[fold_of[name]] += size
    numbers = np.array([fold_of[key] for key in keys])
    for number in range(FOLDS):
        yield np.flatnonzero(numbers != number), np.flatnonzero(numbers == number)


def splits(data: Data) -> Iterator[tuple[str, list[tuple[Ints, Ints]]]]:
    """Each way to measure by name: the rows trained on and the rows measured, as often as it is done."""
    each = {str(name): np.flatnonzero(data.sets == name) for name in np.unique(data.sets)}
    for name, rows in each.items():
        yield f"{name}, in domain", [(rows[seen], rows[rest]) for seen, rest in folds(rows.astype(str))]
    for name, rows in each.items():
        subjects = data.subjects[rows]
        if len(np.unique(subjects)) >= FOLDS:
            drawn = [pair for seed in range(REPEATS) for pair in folds(subjects, seed)]
            yield f"{name}, unseen subjects", [(rows[seen], rows[rest]) for seen, rest in drawn]
    for name, rows in each.items():
        for other, others in each.items():
            if other != name:
                yield f"{other}, trained on {name}", [(rows, others)]


def show_carry(data: Data) -> None:
    """APGR of each model in each way to measure, averaged over its folds."""
    lengths = data.lengths
    print(f"\n{'APGR (0.5 by lot)':32}{'length':>9}" + "".join(f"{name:>9}" for name in MODELS))
    for title, pairs in splits(data):
        row = [float(np.mean([data.apgr(lengths[rest], rest) for _, rest in pairs]))]
        for penalties in MODELS.values():
            scores = [(train(data, seen, penalties).gains(data, rest), rest) for seen, rest in pairs]
            row.append(float(np.mean([data.apgr(score, rest) for score, rest in scores])))
        print(f"{title:32}" + "".join(f"{value:9.3f}" for value in row))


def show_curve(data: Data) -> None:
    """Right answers at each share of strong calls on rows whose subject was not trained on, averaged over the folds."""
    keys = np.array([subject if subject != name else f"{name} {row % FOLDS}" for row, (subject, name) in _named(data)])
    shares = (0.0, *SHARES, 1.0)
    lines: dict[str, Floats] = {}
    for name in ("length", *MODELS):
        curves = []
        for seen, rest in folds(keys):
            scores = data.lengths[rest] if name == "length" else train(data, seen, MODELS[name]).gains(data, rest)
            curves.append(qualities(scores.tolist(), [data.outcomes[row] for row in rest], shares))
        lines[name] = np.mean(curves, axis=0)
    cheap, strong = lines["length"][0], lines["length"][-1]
    print("\nRight answers by the share of strong calls, subjects unseen")
    print(f"{'strong':>8}{'by lot':>9}" + "".join(f"{name:>9}" for name in lines) + f"{'of the gap':>12}")
    for place, share in enumerate(shares):
        row = [cheap + share * (strong - cheap), *(line[place] for line in lines.values())]
        won = (lines["meaning"][place] - cheap) / (strong - cheap)
        print(f"{share:8.0%}" + "".join(f"{value:9.4f}" for value in row) + f"{won:12.0%}")


def _named(data: Data) -> Iterator[tuple[int, tuple[str, str]]]:
    return enumerate(zip(map(str, data.subjects), map(str, data.sets), strict=True))


def final(data: Data, penalties: Penalties) -> Linear:
    """A model of all rows, calibrated by the gains that models of four folds expect of the fifth."""
    everything = np.arange(len(data.gains))
    model = train(data, everything, penalties)
    unseen = np.zeros(len(everything))
    for seen, rest in folds(everything.astype(str)):
        unseen[rest] = train(data, seen, penalties).gains(data, rest)
    formed, meant = model.slopes[: len(SHAPE)], model.slopes[len(SHAPE) :]
    return Linear(
        round(model.bias, 6),
        {name: round(float(slope), 6) for name, slope in zip(SHAPE, formed, strict=True)},
        [round(float(slope), 5) for slope in meant],
        [round(float(cut), 5) for cut in np.quantile(unseen, np.linspace(0, 1, QUANTILES))],
    )


def main() -> int:
    parser = argparse.ArgumentParser(description="Train the local router and show how far it carries.")
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
    show_carry(data)
    show_curve(data)
    if options.write:
        weights = Weights(OFFLINE_MODEL, final(data, MODELS["meaning"]), final(data, MODELS["form"]))
        path = Path(shipped.__file__).with_name("weights.json")
        path.write_text(weights.dumps(), encoding="utf-8")
        print(f"\nWritten to {path.name}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
