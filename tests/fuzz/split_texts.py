"""Hostile texts of any form: every part of a split fits its message, and no letter is lost or moved."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from hypothesis import strategies as st

from bot.engine.markdown import displayable, split
from tests.doubles import hostile_markdown
from tests.engine.test_markdown import DOCUMENT, LIMIT, SIZE, SOUP
from tests.fuzz.target import Target

_HOSTILE = st.integers(0, 2**48).map(lambda seed: hostile_markdown.text(random.Random(seed)))


def check(given: Any) -> None:
    """Split a text and show every beginning of it that a stream might stop at."""
    text, limit, size, cut = given
    parts = split(text, limit, size=size).parts
    assert all(part.strip() and size(part) <= limit for part in parts)
    words = iter("".join(parts))
    missing = [char for char in text if char.isalnum() and char not in words]
    last = text.rstrip().rpartition("\n")[2]
    # A fence that opens at the very end has nothing to show.
    opens = re.match(r"[\s>]*(?:[`~]{3}|.*\s[`~]{3})", last)
    assert missing in ([], [char for char in last if char.isalnum()] if opens else [])
    before = split(text[:cut], limit, size=size).parts
    assert parts[: max(0, len(before) - 1)] == before[:-1]
    displayable(text[:cut])


@contextmanager
def _opened() -> Iterator[Callable[[Any], None]]:
    yield check


TEXTS = Target(
    "splitter",
    st.tuples(SOUP | DOCUMENT | _HOSTILE | st.text(max_size=400), LIMIT, SIZE, st.integers(0, 400)),
    _opened,
)
