"""Measure how often similar vectors mean the same question, with and without the rules about wording.

    python -m benchmarks.question_similarity PAIRS.jsonl

PAIRS.jsonl has ``a``, ``b`` and ``same``, as for ``parley eval cache``. Prints, for each threshold of the cosine, the
hits, the false hits and the recall: by the vectors alone, and with the wording that cached and verified answers need.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path

import numpy as np

from bot.engine.cache.matching import same_wording
from bot.evals.cache import Pair, read
from knowledge.embedders import build_embedder
from knowledge.packaged_models import OFFLINE_MODEL

THRESHOLDS = (0.7, 0.8, 0.9, 0.95, 0.98)


async def rows(pairs: Sequence[Pair]) -> list[tuple[float, int, int, float, int, int, float]]:
    """Return threshold, then hits, false hits and recall by vectors alone, then the same with wording."""
    async with aclosing(build_embedder(OFFLINE_MODEL)) as embedder:
        one = (await embedder.encode([pair.a for pair in pairs], "query")).vectors
        other = (await embedder.encode([pair.b for pair in pairs], "query")).vectors
    cosines = np.sum(one * other, axis=1)
    same = np.array([pair.same for pair in pairs])
    worded = np.array([same_wording(pair.a, pair.b) for pair in pairs])
    found = []
    for threshold in THRESHOLDS:
        close = cosines >= threshold
        counts: list[float] = []
        for hits in (close, close & worded):
            right = int((hits & same).sum())
            counts += [int(hits.sum()), int(hits.sum()) - right, right / max(1, int(same.sum()))]
        found.append((threshold, *counts))
    return found  # type: ignore[return-value]


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure false hits of similar vectors.")
    parser.add_argument("path", type=Path)
    for row in asyncio.run(rows(read(parser.parse_args().path))):
        print("| {:.2f} | {:,} | {:,} | {:.3f} | {:,} | {:,} | {:.3f} |".format(*row))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
