"""Builds and parses the names that vectors are stored under; vectors of different names are never compared.

Does no I/O.
"""

from __future__ import annotations

import re

_STORED = re.compile(r"(?P<model>.+) in (?P<dimensions>[1-9]\d*) dimensions")


def stored_name(model: str, dimensions: int | None) -> str:
    """Return the model's name, followed by the number of dimensions if its vectors are shortened."""
    return f"{model} in {dimensions} dimensions" if dimensions else model


def split_name(stored: str) -> tuple[str, int | None]:
    """Return the model and the dimensions of a stored name."""
    found = _STORED.fullmatch(stored)
    return (found["model"], int(found["dimensions"])) if found else (stored, None)
