"""Writes JSON documents, for the command line and for exports."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from numbers import Integral, Real
from uuid import UUID


def to_json(document: object, *, indent: int | None = 2) -> str:
    """Return an indented JSON document; without ``indent``, on one line.

    Times are written in ISO 8601, numbers of every kind as numbers, UUIDs as texts and sets as sorted lists. Raises
    TypeError for other types: their texts are no format that scripts could rely on.
    """
    return json.dumps(document, ensure_ascii=False, indent=indent, default=_json_value)


def _json_value(value: object) -> object:
    match value:
        case date():  # a datetime is a date too
            return value.isoformat()
        case Integral():
            return int(value)
        case Decimal() | Real():
            return float(value)
        case UUID():
            return str(value)
        case set() | frozenset():
            return sorted(value)
        case _:
            raise TypeError(f"{type(value).__name__} has no form in JSON")
