"""Tells which languages the stored documents of a tenant are in, by the beginning of a sample of them."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from knowledge.text.language_detection import ENGLISH, MAX_CHARS, UNKNOWN, detect_language

SAMPLE = 200
"""Documents that are looked at. Their ids are random, and so is the sample."""

_SAMPLED_TEXTS = text(
    """
    SELECT left(text, :chars) FROM documents
    WHERE tenant_id = :tenant AND state = 'ready'
    ORDER BY id LIMIT :sample
    """
)


@dataclass(frozen=True, slots=True)
class LanguageShare:
    """The language that most documents are in after English, as ISO 639-1 code, and its share in percent."""

    language: str
    percent: int


async def sample_texts(session: AsyncSession, tenant_id: str) -> list[str]:
    """Return the beginning of each document of the sample."""
    rows = await session.execute(_SAMPLED_TEXTS, {"tenant": tenant_id, "chars": MAX_CHARS, "sample": SAMPLE})
    return [str(beginning) for (beginning,) in rows]


async def most_common_foreign(texts: list[str]) -> LanguageShare | None:
    """Return the most common language of the texts that is not English; None if all are English or do not tell.

    Texts that do not tell their language count as documents too. Detects in a thread, since a model may be loaded.
    """
    counted = await asyncio.to_thread(lambda: Counter(map(detect_language, texts)))
    foreign = [(language, count) for language, count in counted.most_common() if language not in (ENGLISH, UNKNOWN)]
    if not foreign:
        return None
    language, count = foreign[0]
    return LanguageShare(language, round(100 * count / len(texts)))
