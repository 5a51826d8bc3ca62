"""Puts one process under load for a long time, draws its memory, and shows what grows with it.

    python -m benchmarks.heap_growth --minutes 12 --events 250 --questions 20 --streams 60 --picture memory.svg

The load is that of ``benchmarks.load_test``. Objects that existed before the process was forked are not counted by
type, and neither are those without references of their own, such as texts: the allocated blocks include them.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from benchmarks.chaos.heap_log import HeapEntry, HeapLog, read_heap_log
from benchmarks.load_test import Result, measure
from benchmarks.shared.harness import run, table

MOST_SHOWN = 25
"""Types, containers and lines that are printed: those that grew most."""
PARTS = {
    "ours": ("bot.", "knowledge."),
    "discord.py": ("discord.",),
    "Slack SDK": ("slack_bolt.", "slack_sdk."),
    "other libraries": ("",),
}
"""Groups of objects that are counted together, by the beginning of their module; the first match counts."""


def growth(entries: Sequence[HeapEntry]) -> dict[str, object]:
    """Return the memory and what grew most, each at the start, in the middle and at the end."""
    if len(entries) < 3:
        return {}
    points = [entries[0], entries[len(entries) // 2], entries[-1]]
    rows: dict[str, object] = {
        "": "start, middle, end",
        "resident memory, MB": _line([one.rss_mb for one in points]),
        "growth in the second half, %": round(100 * (points[2].rss_mb / points[1].rss_mb - 1), 1),
        "C library: in use, MB": _line([one.malloc_used_mb for one in points]),
        "C library: free, not returned, MB": _line([one.malloc_free_mb for one in points]),
        "blocks allocated by Python": _line([one.blocks for one in points]),
    }
    for part in PARTS:
        rows[f"objects: {part}"] = _line([_objects_of(one, part) for one in points])
    for title, counts in _counted(points).items():
        first, last = counts[0], counts[-1]
        grown = sorted(last, key=lambda name: first.get(name, 0) - last[name])[:MOST_SHOWN]
        rows[f"--- {title}"] = ""
        rows |= {name: _line([one.get(name, 0) for one in counts]) for name in grown}
    return rows


def _counted(points: Sequence[HeapEntry]) -> dict[str, list[Mapping[str, float]]]:
    return {
        "objects by type": [one.objects for one in points],
        "entries of containers": [one.containers for one in points],
        "MB by line": [one.lines_mb for one in points],
    }


def _objects_of(entry: HeapEntry, part: str) -> int:
    def owner(name: str) -> str:
        return next(one for one, starts in PARTS.items() if name.startswith(starts))

    return sum(count for name, count in entry.objects.items() if owner(name) == part)


def _line(figures: Sequence[float]) -> str:
    return ", ".join(f"{figure:,.1f}" if isinstance(figure, float) else f"{figure:,}" for figure in figures)


def draw(entries: Sequence[HeapEntry], result: Result, path: Path) -> None:
    """Draw the memory and the objects over time into an SVG or PNG file."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 6), layout="constrained")
    memory, counts = figure.subplots(2, 1, sharex=True)
    minutes = [(one.at - entries[0].at) / 60 for one in entries]

    def line(axes: object, label: str, value: Callable[[HeapEntry], float]) -> None:
        axes.plot(minutes, [value(one) for one in entries], label=label)  # type: ignore[attr-defined]

    line(memory, "resident", lambda one: one.rss_mb)
    line(memory, "C library: in use", lambda one: one.malloc_used_mb)
    line(memory, "C library: free, not returned", lambda one: one.malloc_free_mb)
    memory.set_ylabel("MB")
    memory.set_ylim(bottom=0)
    memory.set_title(f"{result.events / result.seconds:.0f} events a second, {result.questions:,} questions")
    for part in list(PARTS)[:-1]:
        line(counts, part, partial(_objects_of, part=part))
    counts.set_ylabel("objects")
    counts.set_ylim(bottom=0)
    counts.set_xlabel("minutes")
    for axes in (memory, counts):
        axes.legend(loc="best")
        axes.grid(alpha=0.3)
    figure.savefig(path)


def main() -> None:
    """Run the benchmark and print the results."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--minutes", type=float, default=12.0)
    options.add_argument("--events", type=float, default=250.0, help="per second")
    options.add_argument("--questions", type=float, default=20.0, help="per second, included in the events")
    options.add_argument("--streams", type=int, default=60, help="concurrent streams")
    options.add_argument("--platforms", nargs="+", choices=("slack", "discord"), default=("slack", "discord"))
    options.add_argument("--every", type=float, default=15.0, help="seconds between two entries of the log")
    options.add_argument("--collect", action="store_true", help="collect garbage before each entry")
    options.add_argument("--trace", action="store_true", help="show the lines of code that allocate memory; slow")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--log", type=Path, help="file that keeps every entry, a line of JSON each")
    options.add_argument("--picture", type=Path, help="SVG or PNG file that receives the curve")
    given = options.parse_args()
    log = given.log or Path(tempfile.mkdtemp(prefix="parley-heap-")) / "heap.jsonl"
    result = run(
        measure(
            seconds=60 * given.minutes,
            events=given.events,
            streams=given.streams,
            questions=given.questions,
            seed=given.seed,
            platforms=tuple(given.platforms),
            heap_log=HeapLog(str(log.absolute()), given.every, given.collect, given.trace),
        )
    )
    entries = read_heap_log(log)
    print(table(result.rows()))
    print()
    print(table(growth(entries)))
    if given.picture:
        draw(entries, result, given.picture)


if __name__ == "__main__":
    main()
