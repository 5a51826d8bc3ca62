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
"""How long an answer may be reused: an hour if it is time-sensitive, else until its documents change."""


@dataclass(frozen=True, slots=True)
class CacheNote:
    """The data stored with a cached answer, by which a later lookup checks whether it is still valid."""

    question: str = ""
    evidence: str = ""
    knowledge_version: int = 0
    lasting: CacheLifetime = "hour"


NO_CACHE_NOTE = CacheNote()
