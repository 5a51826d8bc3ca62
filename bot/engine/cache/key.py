"""The key of the exact-match answer cache, and the ground that questions must share to be compared by meaning. Pure."""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from dataclasses import asdict

from knowledge.types import Scope

_SPACE = re.compile(r"\s+")
_POLITE = re.compile(r"^(?:hi|hello|hey|please)[,!.]?\s+|[,\s]+(?:please|thanks|thank you)$")

CAPITALS = frozenset("US IT WHO MAY WILL CAN OR AND AM IS ON IN AT DO BE SO ANY".split())
"""Words that mean something else in capitals."""


def normalised(question: str) -> str:
    """The question without what does not change its answer: case, spacing, courtesy, closing punctuation."""
    text = _SPACE.sub(" ", unicodedata.normalize("NFKC", question)).strip()
    words = [word if _bare(word) in CAPITALS and not text.isupper() else word.casefold() for word in text.split(" ")]
    text = " ".join(words)
    return _POLITE.sub("", text.rstrip("?!. ")).rstrip("?!., ")


def ground(*, scope: Scope, prompt_version: str, model: str, persona: str | None) -> str:
    """Equal only where everything is equal that shapes the answer beside the question and what it finds."""
    seen = asdict(scope) | {"audiences": sorted(scope.audiences)}
    return _digest([seen, prompt_version, model, persona or ""])


def key(question: str, ground: str) -> str:
    """Equal for two questions on one ground only where they are the same but for case, spacing and courtesy."""
    return _digest([normalised(question), ground])


def _bare(word: str) -> str:
    return word.strip("?!.,;:'\"()")


def _digest(parts: list[object]) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()
