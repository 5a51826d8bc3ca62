"""Puts one process under load for a long time, and shows which types of objects grow with its memory.

    python -m benchmarks.heap_growth --minutes 20 --events 150 --questions 10

The load is that of ``benchmarks.load_test``. Objects that existed before the process was forked are not counted, and
neither are those without references of their own, such as texts: the allocated blocks include them.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.load_test import measure
from benchmarks.shared.harness import run, table

MOST_SHOWN = 25
"""Types that are printed: those that grew most."""


def growth(counted: Sequence[Mapping[str, Any]]) -> dict[str, object]:
    """Return the memory and the fastest growing types at the start, in the middle and at the end."""
    if len(counted) < 3:
        return {}
    points = [counted[0], counted[len(counted) // 2], counted[-1]]
    first, last = points[0]["objects"], points[-1]["objects"]
    grown = sorted(last, key=lambda name: first.get(name, 0) - last[name])[:MOST_SHOWN]
    return {
        "type": "start, middle, end",
        "resident memory, MB": _line([round(one["rss_mb"]) for one in points]),
        "allocated blocks": _line([one["blocks"] for one in points]),
        **{name: _line([one["objects"].get(name, 0) for one in points]) for name in grown},
    }


def _line(figures: Sequence[int]) -> str:
    return ", ".join(f"{figure:,}" for figure in figures)


def main() -> None:
    """Run the benchmark and print the results."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--minutes", type=float, default=20.0)
    options.add_argument("--events", type=float, default=150.0, help="per second")
    options.add_argument("--questions", type=float, default=10.0, help="per second, included in the events")
    options.add_argument("--streams", type=int, default=30, help="concurrent streams")
    options.add_argument("--platforms", nargs="+", choices=("slack", "discord"), default=("slack", "discord"))
    options.add_argument("--every", type=float, default=30.0, help="seconds between two counts")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--json", type=Path, help="file for every count")
    given = options.parse_args()
    result = run(
        measure(
            seconds=60 * given.minutes,
            events=given.events,
            streams=given.streams,
            questions=given.questions,
            seed=given.seed,
            platforms=tuple(given.platforms),
            count_objects_every=given.every,
        )
    )
    if given.json:
        given.json.write_text(json.dumps(result.object_counts))
    print(table(result.rows()))
    print()
    print(table(growth(result.object_counts)))


if __name__ == "__main__":
    main()
