"""Trains the score that detects weak evidence, and measures how well it generalizes.

    python -m benchmarks.train_abstention TURNS.jsonl [BEIR_DIR ...] [--model NAME] [--kept FILE.pickle] [--write]

TURNS contains conversations with ``answerability``, ``collection`` and the passages that answer. Each turn gets the
best passages of its collection; an answerable one always gets an answering passage. A folder in BEIR format gives two
cases for each question: with the results of BM25, and with its results after every answering document, with all its
chunks, is removed.

Prints the share of declined questions in each set, for a model trained on the other sets and for one trained on all
sets with the same questions left out (5 folds). Both use 5 % wrongly declined as the threshold of each set, then one
threshold for all sets, which is what ships. Every set has the same weight. The weights of another embedding model than
the offline one are stretched until its thresholds are those of the offline model. ``--write`` replaces the shipped
weights of the model; its languages have to be trained again. Deterministic.
"""

from __future__ import annotations

import argparse
import asyncio
import pickle
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.make_weak_evidence_data import EvidenceCase, beir, turns
from bot.errors import UsageError
from bot.evals.abstention import Case, auc, encoded
from knowledge.embedders import build_embedder
from knowledge.packaged_models import OFFLINE_MODEL
from knowledge.search import evidence_confidence as shipped
from knowledge.search.evidence_confidence import (
    EMBEDDING_FEATURES,
    WORD_FEATURES,
    Evidence,
    LogisticModel,
    Weights,
    embedding_features,
    word_features,
)

FOLDS = 5
PENALTY = 10.0
DECLINED = 0.05
"""The share of answerable questions in any set that may be declined."""
WEAK = 0.25
"""The share of answerable questions whose answer is marked as low confidence."""

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Data:
    """Features of every case. ``questions`` names the groups that must not be on both sides of a fold."""

    sets: npt.NDArray[np.str_]
    questions: npt.NDArray[np.str_]
    answerable: Rows
    features: Floats

    def rows(self, name: str) -> Rows:
        """Return the cases of one set."""
        found: Rows = self.sets == name
        return found

    @property
    def names(self) -> list[str]:
        """Return the names of the sets."""
        return sorted(set(self.sets.tolist()))


def features(cases: Sequence[EvidenceCase], evidence: Sequence[Sequence[Evidence]]) -> Data:
    """Return the features that the models read."""
    rows = [
        [*word_features(one.question, found), *(embedding_features(found) or ())]
        for one, found in zip(cases, evidence, strict=True)
    ]
    return Data(
        np.array([one.set for one in cases]),
        np.array([f"{one.set}/{one.group}" for one in cases]),
        np.array([one.answerable for one in cases]),
        np.array(rows),
    )


def train(data: Data, rows: Rows, columns: int) -> LogisticModel:
    """Train a logistic regression on the first columns; every set and both classes have the same weight."""
    values, right = data.features[rows, :columns], data.answerable[rows].astype(float)
    weights = np.zeros(len(right))
    for name in set(data.sets[rows].tolist()):
        for answer in (0.0, 1.0):
            of = (data.sets[rows] == name) & (right == answer)
            weights[of] = 200.0 / max(of.sum(), 1)
    centre, spread = values.mean(axis=0), values.std(axis=0) + 1e-9
    inputs = np.column_stack([np.ones(len(values)), (values - centre) / spread])
    penalty = np.diag([0.0] + [PENALTY] * columns)
    found = np.zeros(columns + 1)
    for _ in range(40):
        chance = 1 / (1 + np.exp(-inputs @ found))
        curve = inputs.T @ (inputs * (weights * chance * (1 - chance))[:, None]) + penalty
        found -= np.linalg.solve(curve, inputs.T @ (weights * (chance - right)) + penalty @ found)
    slopes = found[1:] / spread
    named = {
        name: round(float(slope), 4) for name, slope in zip((*WORD_FEATURES, *EMBEDDING_FEATURES), slopes, strict=False)
    }
    return LogisticModel(round(float(found[0] - slopes @ centre), 4), named)


def scores(model: LogisticModel, data: Data, rows: Rows) -> Floats:
    """Return the model's scores of some cases."""
    return np.array([model.probability(row[: len(model.slopes)]) for row in data.features[rows]])


def predict_unseen_questions(data: Data, columns: int) -> Floats:
    """Return the score of every case by a model that was not trained on its question."""
    names = np.unique(data.questions)
    fold = dict(zip(names.tolist(), np.random.default_rng(0).integers(0, FOLDS, len(names)).tolist(), strict=True))
    of = np.array([fold[name] for name in data.questions.tolist()])
    predictions = np.zeros(len(of))
    for number in range(FOLDS):
        predictions[of == number] = scores(train(data, of != number, columns), data, of == number)
    return predictions


def predict_unseen_sets(data: Data, columns: int) -> Floats:
    """Return the score of every case by a model that was not trained on its set."""
    predictions = np.zeros(len(data.sets))
    for name in data.names:
        predictions[data.rows(name)] = scores(train(data, ~data.rows(name), columns), data, data.rows(name))
    return predictions


def show(title: str, predicted: Floats, data: Data, threshold: float | None = None) -> None:
    """Print the share of declined cases in each set, at its own threshold or a common one."""
    parts = []
    for name in data.names:
        right = predicted[data.rows(name) & data.answerable]
        wrong = predicted[data.rows(name) & ~data.answerable]
        cut = float(np.quantile(right, DECLINED)) if threshold is None else threshold
        area = auc(right.tolist(), wrong.tolist())
        parts.append(f"{name} {np.mean(wrong < cut):.3f} of {np.mean(right < cut):.3f} (AUC {area:.3f})")
    print(f"{title:34} " + "; ".join(parts))


def threshold(predicted: Floats, data: Data, share: float) -> float:
    """Return the highest score below which no set has more than ``share`` of its answerable questions."""
    return min(float(np.quantile(predicted[data.rows(name) & data.answerable], share)) for name in data.names)


def measure(data: Data, model: str) -> Weights:
    """Print how well the models generalize, and train the weights of an embedding model on all cases."""
    everything = np.ones(len(data.sets), dtype=bool)
    for title, columns in (
        ("words", len(WORD_FEATURES)),
        ("words and meaning", len(WORD_FEATURES) + len(EMBEDDING_FEATURES)),
    ):
        if len(data.names) > 1:
            show(f"{title}, set unseen", predict_unseen_sets(data, columns), data)
        predicted = predict_unseen_questions(data, columns)
        show(f"{title}, question unseen", predicted, data)
        show(f"{title}, one threshold", predicted, data, threshold(predicted, data, DECLINED))
    found = (round(threshold(predicted, data, DECLINED), 3), round(threshold(predicted, data, WEAK), 3))
    meaning = train(data, everything, len(WORD_FEATURES) + len(EMBEDDING_FEATURES))
    words = train(data, everything, len(WORD_FEATURES))
    if model == OFFLINE_MODEL:
        return Weights(model, *found, meaning, words)
    offline = shipped.shipped()
    wanted = offline.threshold, offline.weak_below
    return Weights(model, *wanted, meaning.with_scores_at(found, wanted), offline.words)


def load(cases: Sequence[EvidenceCase], cache_file: Path | None, model: str) -> list[list[Evidence]]:
    """Return the evidence of every case, encoded now or loaded from an earlier run."""
    if cache_file is not None and cache_file.is_file():
        found: list[list[Evidence]] = pickle.loads(cache_file.read_bytes())
        if len(found) == len(cases):
            return found
    print(f"Encoding {len(cases)} cases, which takes minutes", file=sys.stderr)
    questions = [Case(one.question, one.passages, one.answerable) for one in cases]
    found = asyncio.run(encoded(questions, build_embedder(model)))
    if cache_file is not None:
        cache_file.write_bytes(pickle.dumps(found))
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description="Train the score that detects weak evidence.")
    parser.add_argument("turns", type=Path, nargs="?")
    parser.add_argument("folders", type=Path, nargs="*")
    parser.add_argument("--model", choices=shipped.FILES, default=OFFLINE_MODEL, help="the embedding model")
    parser.add_argument("--kept", type=Path, metavar="FILE.pickle")
    parser.add_argument("--write", action="store_true", help="replace the shipped weights")
    options = parser.parse_args()
    if options.turns is None:
        print("Nothing trained: give a JSONL file of turns, and folders in BEIR form.")
        return 0
    try:
        cases = [*turns(options.turns), *(case for folder in options.folders for case in beir(folder))]
    except UsageError as error:
        print(error, file=sys.stderr)
        return 2
    data = features(cases, load(cases, options.kept, options.model))
    counts: Mapping[str, int] = {name: int(data.rows(name).sum()) for name in data.names}
    print(f"cases: {counts}\nShare declined of unanswerable and of answerable questions:")
    weights = measure(data, options.model)
    if options.write:
        path = Path(shipped.__file__).with_name(shipped.FILES[options.model])
        path.write_text(weights.dumps(), encoding="utf-8")
        print(f"Written to {path.name}: declined below {weights.threshold}, weak below {weights.weak_below}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
