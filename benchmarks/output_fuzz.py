"""Show random hostile texts on every platform, and count crashes, links that are not allowed and disagreements.

    python -m benchmarks.output_fuzz [--runs 20000] [--seconds 0] [--seed 1] [--pieces 8] [--processes 2] [--show 5]

Each run builds one text, filters it, and shows it in one way: as an answer, as a command's reply, as the names of a
source, or as a draft cut at a random place, on Slack, Discord and the web page. The readers of the output share no code
with the bot. A fault is printed with the shortest text that still shows it. Ends with status 1 if anything is wrong.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field

from benchmarks.shared.failing_text import shortest
from benchmarks.shared.unusable_input import unusable
from tests.doubles import hostile_markdown, output_checks

BATCH = 1_000
"""Runs that a process does before it reports."""


@dataclass
class Found:
    """What a number of runs found. ``examples`` are short texts with what is wrong with them, by the kind of fault."""

    runs: int = 0
    faulty: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)


def main() -> int:
    """Run the fuzzer and print the totals."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20_000)
    parser.add_argument("--seconds", type=float, default=0.0, help="stop after this time; 0 is never")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--pieces", type=int, default=8, help="most pieces of a text")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--show", type=int, default=5, help="texts to print for each kind of fault")
    options = parser.parse_args()
    started = time.monotonic()
    ends = started + options.seconds if options.seconds else float("inf")
    total = Found()
    with ProcessPoolExecutor(options.processes) as pool:
        batches = [
            pool.submit(_batch, f"{options.seed}:{first}", min(BATCH, options.runs - first), options, ends)
            for first in range(0, options.runs, BATCH)
        ]
        for batch in batches:
            found = batch.result()
            for kind, examples in found.examples.items():
                for example in examples[: max(0, options.show - total.kinds[kind])]:
                    print(example, flush=True)
            total.runs, total.faulty = total.runs + found.runs, total.faulty + found.faulty
            total.kinds.update(found.kinds)
    print(f"{total.runs:,} runs in {time.monotonic() - started:.0f} s, {total.faulty} texts with a fault or a crash")
    for kind, count in total.kinds.most_common():
        print(f"  {count:6,}  {kind}")
    return bool(total.faulty) if total.runs else unusable("no text was made.")


def _batch(seed: str, runs: int, options: argparse.Namespace, ends: float) -> Found:
    """Do ``runs`` runs, or fewer if the monotonic clock passes ``ends``."""
    found = Found()
    for number in range(runs):
        if time.monotonic() > ends:
            break
        found.runs += 1
        text = hostile_markdown.text(random.Random(f"{seed}:{number}"), options.pieces)
        if kinds := _kinds(text, f"{seed}:{number}"):
            found.faulty += 1
            found.kinds.update(kinds.keys())
            for kind in kinds:
                examples = found.examples.setdefault(kind, [])
                if len(examples) < options.show:
                    examples.append(_example(text, kind, f"{seed}:{number}"))
    return found


def _example(text: str, kind: str, seed: str) -> str:
    """Return the shortest text that shows the same kind of fault, with everything that is wrong with it."""
    short = shortest(text, lambda part: kind in _kinds(part, seed))
    return "\n  ".join([repr(short), *_kinds(short, seed).values()])


def _kinds(text: str, seed: str) -> dict[str, str]:
    """Return what is wrong with the text, by its kind. ``seed`` chooses the way in which the text is shown."""
    try:
        faults = output_checks.some_faults(text, random.Random(seed))
    except Exception as error:
        faults = [f"crash {type(error).__name__}: {error}"]
    return {fault.partition(":")[0]: fault for fault in faults}


if __name__ == "__main__":
    sys.exit(main())
