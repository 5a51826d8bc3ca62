"""Measure what each group of wording rules adds to the answer cache.

    python -m benchmarks.cache_rules PAIRS.jsonl [--least 0.005]

PAIRS.jsonl has ``a``, ``b`` and ``same``, as for ``parley eval cache``. The first table shows hits, false hits and
recall with all rules, and with each group switched off. The second removes one group after the other, the one that
costs the least recall first, until each group left adds at least ``--least`` of recall. Groups depend on each other,
so the second table decides. It leaves out the guards, which prevent false hits and add no recall, and counts only the
pairs that are a hit in the first table. Only the wording is compared: the threshold on the question vectors can remove
hits and never adds any.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

from bot.engine.cache import order, wording
from bot.engine.cache.matching import same_wording
from bot.evals.cache import Pair, read

Change = tuple[ModuleType, str, Callable[[Any], Any]]
"""A module, the name of a rule in it, and what the rule becomes while its group is off."""


@dataclass(frozen=True, slots=True)
class Score:
    """Hits of one selection of rules. ``recall`` is the share of the pairs with one answer that are hits."""

    hits: int
    false_hits: int
    recall: float

    @property
    def false_hit_rate(self) -> float:
        return self.false_hits / self.hits if self.hits else 0.0


def _empty(value: Any) -> Any:
    return type(value)()


def _without_frames(places: Collection[int], frames: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(frame for place, frame in enumerate(frames) if place not in places)


def _frames(*places: int) -> Change:
    return wording, "FRAMES", partial(_without_frames, places)


def _without_words(words: str, rule: frozenset[str]) -> frozenset[str]:
    return rule - set(words.split())


def _same(value: Any) -> Any:
    return lambda _: value


def _never(pattern: re.Pattern[str]) -> re.Pattern[str]:
    """Return a pattern that matches nothing and has the same groups."""
    return re.compile("(?!)" + "()" * pattern.groups)


GROUPS: dict[str, tuple[Change, ...]] = {
    "contractions (what's)": ((wording, "CONTRACTIONS", _empty),),
    "openings (hi, can you tell me)": ((wording, "OPENINGS", _never),),
    "closings (thanks)": ((wording, "CLOSINGS", _never),),
    "how do I, how can I, how to": (_frames(0, 1, 2),),
    "best way to, steps to": (_frames(3, 4, 5),),
    "am I allowed to, is it possible to": (_frames(6, 7, 8),),
    "should one, must one": (_frames(9, 10, 11),),
    "how come, the reason that": (_frames(12, 13),),
    "what time, what day, what place": (_frames(14, 15, 16, 29),),
    "cost, price": (_frames(17, 18, 19),),
    "meaning": (_frames(20, 21),),
    "which for what, whom, could": (_frames(*range(22, 29), *range(30, 38)),),
    "spelling variants and synonyms": ((wording, "SPELLED", _empty),),
    "phrases (log in, get rid of)": ((wording, "PHRASES", _empty),),
    "empty it (does it take)": ((wording, "EMPTY_IT", _empty),),
    "number words": ((wording, "NUMBERS", _empty),),
    "articles (a, an, the, some)": ((wording, "IDLE", partial(_without_words, "a an the some")),),
    "auxiliaries (do, is, are, am)": ((wording, "IDLE", partial(_without_words, "do does is are am")),),
    "possessives (my, our)": ((wording, "IDLE", partial(_without_words, "my our")),),
    "pronouns (i, we)": ((wording, "IDLE", partial(_without_words, "i we")),),
    "fillers (just, really, ever)": (
        (
            wording,
            "IDLE",
            partial(
                _without_words,
                "please just really actually exactly basically simply there that of ever very kindly",
            ),
        ),
    ),
    "in for at, us for me": ((wording, "ALIKE", _empty),),
    "you for I after if, when": ((wording, "ANYBODY", _never),),
    "front to end (in Jira, how)": ((order, "_FRONTED", _never),),
    "which is best": ((order, "_BEST", _never),),
    "is it safe to": ((order, "_FIT", _never), (order, "_IT_IS_FIT", _never)),
    "passive (how can it be closed)": ((order, "_DONE", _never),),
    "alternatives (x or y)": ((order, "_alternatives", _same(lambda tokens, one_verb: tokens)),),
    "from before to": ((order, "_from_before_to", _same(lambda tokens: tokens)),),
    "manner last (online)": ((order, "_manner_last", _same(lambda tokens: tokens)),),
    "infinitives (booking)": ((wording, "_infinitive", _same(lambda word: word)),),
    "compounds (date of the release)": ((wording, "_compounds", _same(list)),),
    "between x and y": ((wording, "_symmetric", _same(list)),),
    "singular": ((wording, "_singular", _same(lambda word: word)),),
    "past and future (will, would)": ((wording, "PAST", _empty), (wording, "FUTURE", _empty)),
    "pointing back": ((wording, "_points_back", _same(lambda tokens: False)),),
}
"""The groups of rules, and how each is switched off."""
GUARDS = ("past and future (will, would)", "pointing back")
"""Groups that prevent hits."""


@contextmanager
def without(groups: Collection[str]) -> Iterator[None]:
    """Switch groups of rules off for the length of a ``with`` block."""
    with ExitStack() as stack:
        for group in groups:
            for module, name, change in GROUPS[group]:
                stack.enter_context(mock.patch.object(module, name, change(getattr(module, name))))
        yield


def hits(pairs: Iterable[Pair], off: Collection[str] = ()) -> list[Pair]:
    """Return the pairs with one wording while some groups are switched off."""
    with without(off):
        return [pair for pair in pairs if same_wording(pair.a, pair.b)]


def score(found: Sequence[Pair], same: int) -> Score:
    """Return the figures of some hits; ``same`` is the number of all pairs with one answer."""
    false = sum(not pair.same for pair in found)
    return Score(len(found), false, (len(found) - false) / max(1, same))


def eliminate(candidates: Collection[Pair], same: int, least: float) -> Iterator[tuple[str, Score]]:
    """Yield the groups to remove, in order, each with the score after its removal."""
    off: list[str] = []
    recall = score(hits(candidates), same).recall
    while left := [group for group in GROUPS if group not in (*off, *GUARDS)]:
        scores = {group: score(hits(candidates, [*off, group]), same) for group in left}
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
    same = sum(pair.same for pair in pairs)
    print(f"{len(pairs)} pairs, {same} with one answer\n")
    with_all = hits(pairs)
    candidates = dict.fromkeys(with_all)
    before = score(with_all, same)
    _print("all rules", before)
    for group in GROUPS:
        found = hits(pairs, [group])
        candidates |= dict.fromkeys(found)
        _print(f"without {group}", score(found, same), before)
    print("\nremoved one after the other:")
    for group, after in eliminate(candidates, same, options.least):
        _print(group, after, before)
        before = after
    return 0


def _print(name: str, one: Score, before: Score | None = None) -> None:
    change = "" if before is None else f"  {one.recall - before.recall:+.4f}"
    print(f"{name:45} {one.hits:5} hits {one.false_hits:4} false ({one.false_hit_rate:.3f})  {one.recall:.4f}{change}")


if __name__ == "__main__":
    raise SystemExit(main())
