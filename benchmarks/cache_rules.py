"""Measure what each group of wording rules adds to the answer cache.

    python -m benchmarks.cache_rules PAIRS.jsonl [--least 0.005]

PAIRS.jsonl has ``a``, ``b`` and ``same``, as for ``parley eval cache``. The first table shows hits, false hits and
recall with all rules, and with each group switched off. The second removes one group after the other, the one that
costs the least recall first, until each group left adds at least ``--least`` of recall, because groups depend on each
other. It leaves out the guards, which prevent false hits and add no recall. Only the wording is compared: the threshold
on the question vectors can remove hits and never adds any.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

from bot.engine.cache import english_questions
from bot.engine.cache.matching import same_wording
from bot.evals.cache import Pair, read

Change = tuple[str, Callable[[Any], Any]]
"""The name of a rule in ``wording``, and a function from its value to the value without the group."""


@dataclass(frozen=True, slots=True)
class Score:
    """Hits of one selection of rules. ``recall`` is the share of the pairs with one answer that are hits."""

    hits: int
    false_hits: int
    recall: float

    @property
    def false_hit_rate(self) -> float:
        return self.false_hits / self.hits if self.hits else 0.0


def _without_ways(ways: Collection[str], pattern: re.Pattern[str]) -> re.Pattern[str]:
    left = [
        way
        for way in (*english_questions.HOW_DO_I, *english_questions.BEST_WAY_TO)
        if way not in ways and way in pattern.pattern
    ]
    return re.compile("|".join(left) or "(?!)")


def _ways(ways: Collection[str]) -> Change:
    return "_HOW_TO", partial(_without_ways, ways)


def _words(words: frozenset[str]) -> Change:
    return "_REMOVED", lambda removed: removed - words


GROUPS: dict[str, Change] = {
    "how do I, how can I, how to": _ways(english_questions.HOW_DO_I),
    "best way to, steps to": _ways(english_questions.BEST_WAY_TO),
    "articles (a, an, the, some)": _words(english_questions.ARTICLES),
    "auxiliaries (do, is, are, am)": _words(english_questions.AUXILIARIES),
    "possessives (my, our)": _words(english_questions.POSSESSIVES),
    "fillers (just, really, ever)": _words(english_questions.FILLERS),
    "singular": ("_singular", lambda _: str),
    "pointing back": ("_POINTING", lambda _: frozenset()),
}
"""The groups of rules, and how each is switched off."""
GUARDS = ("pointing back",)
"""Groups that prevent hits."""


@contextmanager
def without(groups: Collection[str]) -> Iterator[None]:
    """Switch groups of rules off for the length of a ``with`` block."""
    with ExitStack() as stack:
        for group in groups:
            name, change = GROUPS[group]
            stack.enter_context(mock.patch.object(english_questions, name, change(getattr(english_questions, name))))
        yield


def score(pairs: Sequence[Pair], off: Collection[str] = ()) -> Score:
    """Count the hits with some groups switched off."""
    with without(off):
        hits = [pair for pair in pairs if same_wording(pair.a, pair.b)]
    false = sum(not pair.same for pair in hits)
    return Score(len(hits), false, (len(hits) - false) / max(1, sum(pair.same for pair in pairs)))


def eliminate(pairs: Sequence[Pair], least: float) -> Iterator[tuple[str, Score]]:
    """Yield the groups to remove, in order, each with the score after its removal."""
    off: list[str] = []
    recall = score(pairs).recall
    while left := [group for group in GROUPS if group not in (*off, *GUARDS)]:
        scores = {group: score(pairs, [*off, group]) for group in left}
        group = max(left, key=lambda one: (scores[one].recall, -scores[one].false_hits))
        if recall - scores[group].recall >= least:
            return
        off.append(group)
        recall = scores[group].recall
        yield group, scores[group]


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure what each group of wording rules adds.")
    parser.add_argument("data", type=Path)
    parser.add_argument("--least", type=float, default=0.005, help="recall that a group must add to stay")
    options = parser.parse_args()
    pairs = read(options.data)
    before = score(pairs)
    print(f"{len(pairs)} pairs, {sum(pair.same for pair in pairs)} with one answer\n")
    _print("all rules", before)
    for group in GROUPS:
        _print(f"without {group}", score(pairs, [group]), before)
    print("\nremoved one after the other:")
    for group, after in eliminate(pairs, options.least):
        _print(group, after, before)
        before = after
    return 0


def _print(name: str, one: Score, before: Score | None = None) -> None:
    change = "" if before is None else f"  {one.recall - before.recall:+.4f}"
    print(f"{name:40} {one.hits:5} hits {one.false_hits:4} false ({one.false_hit_rate:.3f})  {one.recall:.4f}{change}")


if __name__ == "__main__":
    raise SystemExit(main())
