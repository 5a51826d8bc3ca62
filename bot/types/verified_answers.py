"""Defines answers that a person has verified."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from bot.types.conversation import Platform
from bot.types.display import Citation

Staleness = Literal["", "expired", "changed"]
"""Why a verified answer is no longer given: its time is over, or a document that it cites changed. Empty: it is."""


@dataclass(frozen=True, slots=True)
class VerifiedAnswer:
    """An answer that its owner stands behind, until ``expires_at`` or until a document that it cites changes.

    ``questions`` are forms of the question that it answers, one at least. ``audience`` is as that of documents: the
    whole tenant, or the ID of a channel. ``tenant_wide``: it may rest on documents of the whole tenant, so only readers
    who may read those get it. ``turn_id`` is the answer that was approved; empty if a person wrote it.
    """

    id: str
    questions: tuple[str, ...]
    answer: str
    citations: tuple[Citation, ...]
    audience: str
    tenant_wide: bool
    platform: Platform
    owner_id: str
    owner_name: str
    verified_at: datetime
    expires_at: datetime | None = None
    turn_id: str = ""
    stale: Staleness = ""


@dataclass(frozen=True, slots=True)
class SimilarQuestion:
    """A question of a verified answer, and the cosine of its vector to that of the question asked."""

    question: str
    similarity: float
    answer: VerifiedAnswer
