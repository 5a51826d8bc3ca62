"""Defines cached answers and the notes stored with them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from bot.types.display import Citation


@dataclass(frozen=True, slots=True)
class CachedAnswer:
    """An earlier answer to the same question.

    ``current``: no document at all has changed since it was found to stand. ``intact``: no document that it cites has.
    ``evidence`` digests what ``question``, in the words that it was asked in, found then.
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
"""How long an answer may be given again: as long as what is so now, or as long as its documents stand."""


@dataclass(frozen=True, slots=True)
class CacheNote:
    """What is noted with an answer that is kept, to tell later whether it still stands."""

    question: str = ""
    evidence: str = ""
    knowledge_version: int = 0
    lasting: CacheLifetime = "hour"


NO_CACHE_NOTE = CacheNote()
