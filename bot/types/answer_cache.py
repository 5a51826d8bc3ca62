"""Defines cached answers and the notes stored with them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from bot.types.display import Citation


@dataclass(frozen=True, slots=True)
class CachedAnswer:
    """An earlier answer to the same question.

    ``current``: no document has changed since the answer was last verified. ``intact``: no document that it cites has.
    ``evidence`` is a digest of what ``question`` found then.
    """

    turn_id: str
    answer: str
    citations: tuple[Citation, ...]
    created_at: datetime
    question: str = ""
    evidence: str = ""
    current: bool = True
    intact: bool = True


CacheLifetime = Literal["hour", "stable"]
"""How long an answer may be reused: an hour if it is time-sensitive, else as long as its documents stand."""


@dataclass(frozen=True, slots=True)
class CacheNote:
    """What is stored with a cached answer to determine later whether it still holds."""

    question: str = ""
    evidence: str = ""
    knowledge_version: int = 0
    lasting: CacheLifetime = "hour"


NO_CACHE_NOTE = CacheNote()
