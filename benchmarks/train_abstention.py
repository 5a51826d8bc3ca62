"""Trains the confidence score that detects weak evidence, and shows how well it generalizes.

    python -m benchmarks.train_abstention TURNS.jsonl [BEIR_DIR ...] [--kept FILE.pickle] [--write]

TURNS has conversations with ``answerability``, ``collection`` and the passages that answer; a turn is shown the best
passages of its collection, an answerable one with an answering passage among them. A folder in BEIR form gives two
cases for each question: with what BM25 finds, and with what it finds once every document that answers, with all its
other chunks, is taken away. Printed is what is declined of each set by a model trained on the other sets, and by one
trained on all with the same questions left out (5 folds), each at 5% wrongly declined, then at one threshold for all
sets, which is what is shipped. Every set counts the same. ``--write`` replaces the shipped weights. Deterministic.
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

from benchmarks.weak_evidence_data import Shown, beir, turns
from bot.errors import UsageError
from bot.evals.abstention import Case, auc, encoded
from knowledge import evidence_confidence as shipped
from knowledge.embedders import OFFLINE_MODEL, build_embedder
from knowledge.evidence_confidence import (
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
"""The share of answerable questions that may be declined, in any set."""
WEAK = 0.25
"""The share of answerable questions whose answer is told to be of weak evidence."""

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Data:
    """The features of every case; ``questions`` identify cases that must be on the same side of a fold."""

    sets: npt.NDArray[np.str_]
    questions: npt.NDArray[np.str_]
    answerable: Rows
    seen: Floats

    def rows(self, name: str) -> Rows:
        """The cases of one set."""
        found: Rows = self.sets == name
        return found

    @property
    def names(self) -> list[str]:
        """The sets."""
        return sorted(set(self.sets.tolist()))


def seen(shown: Sequence[Shown], evidence: Sequence[Sequence[Evidence]]) -> Data:
    """What the models read."""
    rows = [
        [*word_features(one.question, found), *(embedding_features(found) or ())]
        for one, found in zip(shown, evidence, strict=True)
    ]
    return Data(
        np.array([one.set for one in shown]),
        np.array([f"{one.set}/{one.group}" for one in shown]),
        np.array([one.answerable for one in shown]),
        np.array(rows),
    )


def train(data: Data, rows: Rows, columns: int) -> LogisticModel:
    """Logistic regression on the first columns, every set and both answers weighing the same."""
    values, right = data.seen[rows, :columns], data.answerable[rows].astype(float)
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
    """What a model says of some cases."""
    return np.array([model.probability(row[: len(model.slopes)]) for row in data.seen[rows]])


def folded(data: Data, columns: int) -> Floats:
    """What models say of every case that did not see its question."""
    names = np.unique(data.questions)
    fold = dict(zip(names.tolist(), np.random.default_rng(0).integers(0, FOLDS, len(names)).tolist(), strict=True))
    of = np.array([fold[name] for name in data.questions.tolist()])
    made = np.zeros(len(of))
    for number in range(FOLDS):
        made[of == number] = scores(train(data, of != number, columns), data, of == number)
    return made


def left_out(data: Data, columns: int) -> Floats:
    """What models say of every case that saw nothing of its set."""
    made = np.zeros(len(data.sets))
    for name in data.names:
        made[data.rows(name)] = scores(train(data, ~data.rows(name), columns), data, data.rows(name))
    return made


def show(title: str, said: Floats, data: Data, threshold: float | None = None) -> None:
    """What is declined of each set, at its own threshold or a common one."""
    parts = []
    for name in data.names:
        right = said[data.rows(name) & data.answerable]
        wrong = said[data.rows(name) & ~data.answerable]
        cut = float(np.quantile(right, DECLINED)) if threshold is None else threshold
        area = auc(right.tolist(), wrong.tolist())
        parts.append(f"{name} {np.mean(wrong < cut):.3f} of {np.mean(right < cut):.3f} (AUC {area:.3f})")
    print(f"{title:34} " + "; ".join(parts))


def threshold(said: Floats, data: Data, share: float) -> float:
    """The highest score below which no set has more than ``share`` of its answerable questions."""
    return min(float(np.quantile(said[data.rows(name) & data.answerable], share)) for name in data.names)


def measure(data: Data) -> Weights:
    """Show how far the models carry, and make the weights of all cases."""
    everything = np.ones(len(data.sets), dtype=bool)
    for title, columns in (
        ("words", len(WORD_FEATURES)),
        ("words and meaning", len(WORD_FEATURES) + len(EMBEDDING_FEATURES)),
    ):
        if len(data.names) > 1:
            show(f"{title}, set unseen", left_out(data, columns), data)
        said = folded(data, columns)
        show(f"{title}, question unseen", said, data)
        show(f"{title}, one threshold", said, data, threshold(said, data, DECLINED))
    return Weights(
        OFFLINE_MODEL,
        round(threshold(said, data, DECLINED), 3),
        round(threshold(said, data, WEAK), 3),
        train(data, everything, len(WORD_FEATURES) + len(EMBEDDING_FEATURES)),
        train(data, everything, len(WORD_FEATURES)),
    )


def load(shown: Sequence[Shown], kept: Path | None) -> list[list[Evidence]]:
    """The evidence of every case, encoded now or kept from an earlier run."""
    if kept is not None and kept.is_file():
        found: list[list[Evidence]] = pickle.loads(kept.read_bytes())
        if len(found) == len(shown):
            return found
    print(f"Encoding {len(shown)} cases, which takes minutes", file=sys.stderr)
    cases = [Case(one.question, one.passages, one.answerable) for one in shown]
    found = asyncio.run(encoded(cases, build_embedder(OFFLINE_MODEL)))
    if kept is not None:
        kept.write_bytes(pickle.dumps(found))
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description="Train the score that tells weak evidence.")
    parser.add_argument("turns", type=Path, nargs="?")
    parser.add_argument("folders", type=Path, nargs="*")
    parser.add_argument("--kept", type=Path, metavar="FILE.pickle")
    parser.add_argument("--write", action="store_true", help="replace the shipped weights")
    options = parser.parse_args()
    if options.turns is None:
        print("Nothing trained: give a JSONL file of turns, and folders in BEIR form.")
        return 0
    try:
        shown = [*turns(options.turns), *(case for folder in options.folders for case in beir(folder))]
    except UsageError as error:
        print(error, file=sys.stderr)
        return 2
    data = seen(shown, load(shown, options.kept))
    counts: Mapping[str, int] = {name: int(data.rows(name).sum()) for name in data.names}
    print(f"cases: {counts}\nDeclined of the unanswerable, of the answerable:")
    weights = measure(data)
    if options.write:
        path = Path(shipped.__file__).with_name("confidence.json")
        path.write_text(weights.dumps(), encoding="utf-8")
        print(f"Written to {path.name}: declined below {weights.threshold}, weak below {weights.weak_below}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
