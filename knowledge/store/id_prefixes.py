"""Reads ids from requests: whole UUIDs, and the first characters of one, as people see and type them. Does no I/O."""

from __future__ import annotations

import re
import uuid

SHORT_CHARS = 8
_PREFIX = re.compile(rf"[0-9a-f]{{{SHORT_CHARS},32}}")


def full_id(given: str) -> uuid.UUID | None:
    """Return the UUID that a text names; None if it is none, or not a whole one."""
    try:
        return uuid.UUID(given)
    except ValueError:
        return None


def id_range(typed: str) -> tuple[uuid.UUID, uuid.UUID] | None:
    """Return the lowest and the highest UUID that begin with a typed id; None if it is no id or is too short.

    A range of an indexed column is found without reading every row.
    """
    digits = typed.strip().lower().replace("-", "")
    if not _PREFIX.fullmatch(digits):
        return None
    return uuid.UUID(digits.ljust(32, "0")), uuid.UUID(digits.ljust(32, "f"))
