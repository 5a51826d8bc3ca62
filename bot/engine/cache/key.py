"""Computes the keys of the answer cache: of a question, and of the context that questions must share. Does no I/O."""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from dataclasses import asdict

from knowledge.types.scope import Scope

_SPACE = re.compile(r"\s+")
_POLITE = re.compile(r"^(?:hi|hello|hey|please)[,!.]?\s+|[,\s]+(?:please|thanks|thank you)$")

CAPITALS = frozenset("US IT WHO MAY WILL CAN OR AND AM IS ON IN AT DO BE SO ANY".split())
"""Words that have another meaning in capitals."""


def normalized(question: str) -> str:
    """Return the question without what does not affect its answer: case, spacing, courtesy, final punctuation."""
    text = _SPACE.sub(" ", unicodedata.normalize("NFKC", question)).strip()
    words = [word if _bare(word) in CAPITALS and not text.isupper() else word.casefold() for word in text.split(" ")]
    text = " ".join(words)
    return _POLITE.sub("", text.rstrip("?!. ")).rstrip("?!., ")


def ground(*, scope: Scope, prompt_version: str, model: str, persona: str | None, only_for: str | None = None) -> str:
    """Return a digest of everything that shapes an answer except the question and its passages.

    Only questions with the same ground may share an answer. ``only_for`` is the asker of a private question: nobody
    else must learn that it was asked.
    """
    visible = asdict(scope) | {"audiences": sorted(scope.audiences)}
    return _digest([visible, prompt_version, model, persona or "", only_for])


def key(question: str, ground: str) -> str:
    """Return the cache key of a question; two keys are equal if the questions are equal after ``normalized``."""
    return _digest([normalized(question), ground])


def _bare(word: str) -> str:
    return word.strip("?!.,;:'\"()")


def _digest(parts: list[object]) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()
