"""What is fuzzed: inputs, and a check that raises if a reader crashes on one or reads it wrongly."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st


@dataclass(frozen=True)
class Target:
    """One kind of input. ``opened`` prepares what the check needs, such as a server, for many inputs.

    The check raises AssertionError for a wrong result. Any other exception is a crash.
    """

    name: str
    inputs: st.SearchStrategy[Any]
    opened: Callable[[], AbstractContextManager[Callable[[Any], None]]]
    few: int = 150
    """How many inputs the tests try."""
