"""Calibrates the confidence in evidence for other languages than English, and measures it on questions not trained on.

    python -m benchmarks.train_language_confidence DATA [--model NAME] [--kept DIR] [--write]

The data folder has folders in BEIR format: one for each language, such as ``de``, and ``de-en`` for German questions
over English passages. Each question gives two cases: with the results of BM25, and with its results after the passage
with the answer is removed; the other passages of its article stay.

Each language gets models of its own. All languages of a kind of script together, and all folders across languages, get
one each too. Every model is stretched until 3 % of the answerable questions of its most difficult folder are below the
shipped threshold, and a quarter below the one for weak evidence. The models of each embedding model are kept apart.

Prints for each folder which shares of the unanswerable and answerable questions are declined, by the English models and
by models that were trained and stretched on the questions about every other passage. ``--write`` replaces the shipped
models.
"""

from __future__ import annotations

import argparse
import pickle
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.make_weak_evidence_data import EvidenceCase, beir
from benchmarks.train_abstention import WEAK, Data, Floats, Rows, features, load, scores, train
from bot.evals.abstention import auc
from bot.evals.beir import relevance
from knowledge.confidence_calibration import ACROSS, OTHER_LATIN, OTHER_SCRIPT
from knowledge.packaged_models import OFFLINE_MODEL
from knowledge.search import evidence_confidence as shipped
from knowledge.search.evidence_confidence import EMBEDDING_FEATURES, WORD_FEATURES, LanguageModels, LogisticModel

DECLINED = 0.03
GROUPS = {OTHER_LATIN: ("de", "es"), OTHER_SCRIPT: ("zh", "hi", "ar"), ACROSS: ("de-en", "es-en", "zh-en")}
SINGLE = ("de", "es", "zh", "hi", "ar")
WITH_MEANING = len(WORD_FEATURES) + len(EMBEDDING_FEATURES)


def part(data: Data, rows: Rows) -> Data:
    """Return some of the cases."""
    return Data(data.sets[rows], data.questions[rows], data.answerable[rows], data.features[rows])


def joined(parts: Sequence[Data]) -> Data:
    """Return the cases of several folders."""
    return Data(
        np.concatenate([one.sets for one in parts]),
        np.concatenate([one.questions for one in parts]),
        np.concatenate([one.answerable for one in parts]),
        np.concatenate([one.features for one in parts]),
    )


def calibrated(data: Data, columns: int) -> LogisticModel:
    """Train a model, and stretch it to the shipped thresholds."""
    everything = np.ones(len(data.sets), dtype=bool)
    model = train(data, everything, columns)
    predicted = scores(model, data, everything)
    right = [predicted[data.rows(name) & data.answerable] for name in data.names]
    low, high = (min(float(np.quantile(one, share)) for one in right) for share in (DECLINED, WEAK))
    weights = shipped.shipped()
    return model.with_scores_at((low, high), (weights.threshold, weights.weak_below))


def shares(predicted: Floats, answerable: Rows) -> str:
    """Return the declined shares of unanswerable and answerable questions, and the AUC."""
    declined = predicted < shipped.shipped().threshold
    area = auc(predicted[answerable].tolist(), predicted[~answerable].tolist())
    return f"{declined[~answerable].mean():.3f} of {declined[answerable].mean():.3f} (AUC {area:.3f})"


def held_out(name: str, data: Data, half: Rows, columns: int) -> Floats:
    """Return the scores of every case by a model of the other half, for one folder of a group."""
    predicted = np.zeros(len(half))
    for rows in (half, ~half):
        predicted[rows] = scores(calibrated(part(data, ~rows), columns), data, rows)
    return predicted[data.rows(name)]


def read(folder: Path, kept: Path | None, model: str) -> tuple[list[EvidenceCase], Data, Rows]:
    """Return the cases of a folder with their features, and which of them are in the first half of its passages."""
    file = kept / f"{folder.name}.cases" if kept else None
    cases: list[EvidenceCase] = pickle.loads(file.read_bytes()) if file and file.is_file() else beir(folder)
    if file:
        file.write_bytes(pickle.dumps(cases))
    places = {name: place for place, name in enumerate(sorted({min(one) for one in relevance(folder).values()}))}
    answers = relevance(folder)
    data = features(cases, load(cases, kept / f"{folder.name}.{model}.pickle" if kept else None, model))
    return cases, data, np.array([places[min(answers[one.group])] % 2 == 0 for one in cases])


def main() -> int:
    parser = argparse.ArgumentParser(description="Calibrate the confidence for other languages than English.")
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--model", choices=shipped.FILES, default=OFFLINE_MODEL, help="the embedding model")
    parser.add_argument("--kept", type=Path, metavar="DIR", help="folder for encoded cases")
    parser.add_argument("--write", action="store_true", help="replace the shipped models")
    options = parser.parse_args()
    if options.folder is None:
        print("Nothing trained: give the folder of the multilingual data sets.")
        return 0
    names = sorted({name for group in GROUPS.values() for name in group})
    loaded = {name: read(options.folder / name, options.kept, options.model) for name in names}
    found = dict(zip(SINGLE, ((name,) for name in SINGLE), strict=True)) | GROUPS
    weights = shipped.shipped(options.model)
    models = {}
    for title, folders in found.items():
        data = joined([loaded[name][1] for name in folders])
        half = np.concatenate([loaded[name][2] for name in folders])
        models[title] = LanguageModels(calibrated(data, WITH_MEANING), calibrated(data, len(WORD_FEATURES)))
        for name in folders:
            english = scores(weights.meaning, data, data.rows(name))
            right = data.answerable[data.rows(name)]
            kinds = {"meaning": WITH_MEANING, "words": len(WORD_FEATURES)}
            parts = [f"{kind} {shares(held_out(name, data, half, columns), right)}" for kind, columns in kinds.items()]
            print(f"{title:8} {name:6} English models {shares(english, right)}; {'; '.join(parts)}")
    if options.write:
        path = Path(shipped.__file__).with_name(shipped.FILES[options.model])
        path.write_text(replace(weights, languages=models).dumps(), encoding="utf-8")
        print(f"Written to {path.name}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
