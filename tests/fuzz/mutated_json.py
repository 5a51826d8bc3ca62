"""JSON values that are nearly valid: fields are missing, of another type, or hold hostile texts and numbers."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hypothesis import strategies as st

_MISSING = object()

HOSTILE_TEXTS = (
    "",
    " ",
    "9" * 5_000,
    "²",
    "-1",
    "1e400",
    "nan",
    "a\x00b",
    "\ud800",
    "\u202e\u200b",
    "<@U0BOT> <!date^999999999999999^{date}> <#C1> <!subteam^S1>",
    "<@1> <@&2> <#3> <t:9999999999999:R> </x:1> <:e:1>",
    "```\n<@U0BOT>\n",
    "> " * 200,
    "](" * 200,
    "[" * 400,
    "D1",
    "message_changed",
    "9999999999999.000001",
)
_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from(HOSTILE_TEXTS),
    st.text(max_size=20),
    st.integers(),
    st.floats(),
    st.sampled_from([10**30, -(2**63), 2**53 + 1]),
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=5,
)
_CHANGES = st.lists(st.tuples(st.integers(0, 10_000), st.just(_MISSING) | VALUES), max_size=4)


def mutations(valid: Sequence[Any]) -> st.SearchStrategy[Any]:
    """Return a strategy of the valid values, each with up to four changes anywhere inside."""
    return st.builds(_changed, st.sampled_from(list(valid)), _CHANGES)


def _changed(value: Any, changes: Sequence[tuple[int, Any]]) -> Any:
    changed = [copy.deepcopy(value)]
    for number, replacement in changes:
        places = list(_places(changed))
        holder, key = places[number % len(places)]
        if replacement is _MISSING and holder is not changed:
            del holder[key]
        elif replacement is not _MISSING:
            holder[key] = copy.deepcopy(replacement)
    return changed[0]


def _places(holder: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every place of a value, as its holder and the key in it."""
    items = list(holder.items()) if isinstance(holder, Mapping) else list(enumerate(holder))
    for key, value in items:
        yield holder, key
        if isinstance(value, dict | list):
            yield from _places(value)
