"""Shortens an input that shows a fault, so that a person sees what causes it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

Input = TypeVar("Input", str, bytes)


def shortest(given: Input, is_faulty: Callable[[Input], bool]) -> Input:
    """Return the input without every part that the fault does not need. Parts halve from half of the input to one."""
    size = max(1, len(given) // 2)
    while size:
        at = 0
        while at < len(given):
            without = given[:at] + given[at + size :]
            if is_faulty(without):
                given = without
            else:
                at += size
        size //= 2
    return given
