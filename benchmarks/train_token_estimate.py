"""Trains the estimate of token counts against a real tokenizer, and measures it on texts that it was not trained on.

    python -m benchmarks.train_token_estimate DATA [--more FOLDER] [--write]

DATA has ``multilingual/LANGUAGE/corpus.jsonl`` and ``chunking/*.md``; the code and the tables of this project are
added. FOLDER has further texts, a file for each language (``ru.txt``), which count a third. ``bpe-openai`` of the
development extra counts the tokens of the ``o200k`` encoding.

Every second piece of each set trains, the others are measured: the estimate with its margin, divided by the real
count. ``--write`` replaces the shipped weights. Deterministic.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path

import bpe_openai
import numpy as np
import numpy.typing as npt
from scipy.optimize import lsq_linear

from bot.llm import tokens

PIECE = 1500
MOST_PIECES = 250
LEAST_CHARACTERS = 200
LEAST_WEIGHT = 0.2
"""Weight of a character at least, so that a very long word counts more than a short one in any script."""
SHARE_OF_FURTHER_TEXTS = 0.3
ROOT = Path(__file__).resolve().parents[1]

Floats = npt.NDArray[np.float64]


def pieces(text: str) -> list[str]:
    """Split a text into pieces of equal length, without regard to words."""
    return [text[start : start + PIECE] for start in range(0, len(text), PIECE)]


def text_sets(data: Path) -> dict[str, list[str]]:
    """Return the texts of the data folder and of this project, by set."""
    found = {
        path.parent.name: [json.loads(line)["text"] for line in path.read_text(encoding="utf-8").splitlines()]
        for path in sorted(data.glob("multilingual/*/corpus.jsonl"))
    }
    found |= {path.stem: pieces(path.read_text(encoding="utf-8")) for path in sorted(data.glob("chunking/*.md"))}
    for name, pattern in (("python", "bot/**/*.py"), ("javascript and css", "bot/platforms/web/static/*.*s")):
        found[name] = [piece for path in sorted(ROOT.glob(pattern)) for piece in pieces(path.read_text("utf-8"))]
    return found | {"tables": [table(seed) for seed in range(100)], "csv": [csv(seed) for seed in range(100)]}


def table(seed: int) -> str:
    """Return a Markdown table of made-up people."""
    chosen = random.Random(seed)
    rows = ["| Name | Department | Start | Salary (EUR) | Share |", "|---|---|---|---|---|"]
    for _ in range(20):
        name = chosen.choice(["Anna Berg", "Ben Okafor", "Carla Silva", "Dmitri Ivanov", "Elena Rossi", "Farid Aziz"])
        department = chosen.choice(["Finance", "Legal", "Engineering", "People", "Sales"])
        start = f"{chosen.randint(2001, 2026)}-{chosen.randint(1, 12):02}-{chosen.randint(1, 28):02}"
        rows.append(f"| {name} | {department} | {start} | {chosen.randint(30000, 180000):,} | {chosen.random():.2%} |")
    return "\n".join(rows)


def csv(seed: int) -> str:
    """Return the rows of a made-up CSV file."""
    chosen = random.Random(seed)
    rows = ["id,city,amount,date"]
    for _ in range(30):
        city = chosen.choice(["Lisbon", "Oslo", "Berlin", "Nairobi"])
        rows.append(f"{chosen.randint(1, 99999)},{city},{chosen.random() * 1e4:.2f},2026-{chosen.randint(1, 12):02}-03")
    return "\n".join(rows)


def further_sets(folder: Path | None) -> dict[str, list[str]]:
    """Return the texts of a folder, a set for each file."""
    paths = sorted(folder.glob("*.txt")) if folder else []
    return {path.name: pieces(path.read_text(encoding="utf-8")) for path in paths}


def train(sets: Mapping[str, Sequence[str]], real: Mapping[str, Sequence[int]], shares: Mapping[str, float]) -> Floats:
    """Return the weights that fit the training half best: every set counts its share, every piece of it the same."""
    rows, factors = [], []
    names = feature_names(sets)
    for name, texts in sets.items():
        for text, count in list(zip(texts, real[name], strict=True))[::2]:
            found = tokens.features(text)
            factor = shares[name] / count / len(texts) ** 0.5
            rows.append([found[feature] * factor for feature in names])
            factors.append(count * factor)
    least = np.array([LEAST_WEIGHT if "characters" in name and "5th" not in name else 0.0 for name in names])
    solved: Floats = lsq_linear(np.array(rows), np.array(factors), bounds=(least, np.inf)).x
    return np.round(solved, 2)


def feature_names(sets: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the features that occur."""
    return sorted({name for texts in sets.values() for text in texts for name in tokens.features(text)})


def main() -> int:
    """Run the command. Exit 0."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("--more", type=Path, metavar="FOLDER")
    parser.add_argument("--write", action="store_true", help="replace the shipped weights")
    options = parser.parse_args()
    if options.data is None:
        print("Nothing trained: give the folder of the data sets.")
        return 0
    main_sets, more = text_sets(options.data), further_sets(options.more)
    sets = {
        name: [text for text in texts if len(text) >= LEAST_CHARACTERS][:MOST_PIECES]
        for name, texts in (main_sets | more).items()
    }
    sets = {name: texts for name, texts in sets.items() if len(texts) > 1}
    encoding = bpe_openai.get_encoding("o200k_base")
    real = {name: [len(encoding.encode(text)) for text in texts] for name, texts in sets.items()}
    shares = {name: 1.0 if name in main_sets else SHARE_OF_FURTHER_TEXTS for name in sets}
    names = feature_names(sets)
    learned = dict(zip(names, train(sets, real, shares).tolist(), strict=True))
    print(f"{'set':20} pieces  sum   mean error  lowest")
    for name, texts in sets.items():
        held = list(zip(texts, real[name], strict=True))[1::2]
        ratios = np.array([estimate(text, learned) / count for text, count in held])
        total = sum(estimate(text, learned) for text, _ in held) / sum(count for _, count in held)
        print(f"{name:20} {len(held):5} {total:6.3f} {np.abs(ratios - 1).mean():9.1%} {ratios.min():9.2f}")
    if options.write:
        path = Path(tokens.__file__).with_name("token_weights.json")
        path.write_text(json.dumps(learned, indent=0) + "\n", encoding="utf-8")
        print(f"Written to {path.name}")
    return 0


def estimate(text: str, weights: Mapping[str, float]) -> float:
    """Return the estimate of a text with its margin."""
    return sum(weights[name] * count for name, count in tokens.features(text).items()) * tokens.MARGIN


if __name__ == "__main__":
    raise SystemExit(main())
