"""Computes what token vectors of the multilingual model have in common, which is removed before their signs are kept.

    python -m benchmarks.train_token_centers

Reads Parley's own pages and sample documents, and the sample questions, so no data set that the model is measured on.
Writes the mean token vector of queries and of passages to ``knowledge/embedders/multilingual_centers.json``. Needs
``parley[multilingual]``.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

from knowledge.embedders.bert_model import BertModel
from knowledge.embedders.model_files import packaged_model, verified_weights
from knowledge.embedders.multilingual_model import CENTERS, open_multilingual
from knowledge.embedders.prefixes import prefix
from knowledge.packaged_models import MULTILINGUAL_MODEL
from knowledge.ports import EncodeKind, Vectors

ROOT = Path(__file__).resolve().parents[1]
SAMPLE = ROOT / "knowledge" / "sample"
PARAGRAPH_CHARS = range(100, 900)
EVERY = 10
"""Only each tenth paragraph is read: more change nothing."""


def passages() -> list[str]:
    """Return paragraphs of the documentation and of the sample handbook."""
    files = [*sorted((ROOT / "docs").glob("*.md")), *sorted((SAMPLE / "handbook").glob("*.md"))]
    paragraphs = [one for file in files for one in file.read_text(encoding="utf-8").split("\n\n")]
    return [one for one in paragraphs if len(one) in PARAGRAPH_CHARS][::EVERY]


def questions() -> list[str]:
    """Return the questions about the sample handbook."""
    cases = (SAMPLE / "answer_cases.jsonl").read_text(encoding="utf-8").splitlines()
    return [str(json.loads(case)["question"]) for case in cases]


def mean_token(model: BertModel, texts: list[str], kind: EncodeKind) -> Vectors:
    """Return the mean over the texts of the mean of each text's token vectors, without special tokens."""
    means = []
    with torch.inference_mode():
        for text in texts:
            features = model.preprocess([prefix(MULTILINGUAL_MODEL, kind) + text])
            real = ~np.isin(features["input_ids"][0].numpy(), model.tokenizer.all_special_ids)
            means.append(model(features)["token_embeddings"][0].float().numpy()[real].mean(axis=0))
    return np.asarray(np.mean(means, axis=0), np.float32)


def main() -> None:
    packaged = packaged_model(MULTILINGUAL_MODEL)
    assert packaged is not None
    model = open_multilingual(verified_weights(packaged), torch.float32)
    centers = {
        "query": mean_token(model, questions(), "query"),
        "passage": mean_token(model, passages(), "passage"),
    }
    rounded = {kind: [round(float(value), 4) for value in center] for kind, center in centers.items()}
    CENTERS.write_text(json.dumps(rounded) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
