"""The name that a model's vectors are stored under: vectors of different names are never compared. Pure."""

from __future__ import annotations

import re

_STORED = re.compile(r"(?P<model>.+) in (?P<dimensions>[1-9]\d*) dimensions")


def stored_name(model: str, dimensions: int | None) -> str:
    """The model's own name, followed by the dimensions where its vectors are shortened."""
    return f"{model} in {dimensions} dimensions" if dimensions else model


def split_name(stored: str) -> tuple[str, int | None]:
    """Model and dimensions of a stored name."""
    found = _STORED.fullmatch(stored)
    return (found["model"], int(found["dimensions"])) if found else (stored, None)
