"""The answer cache's decisions: which questions are the same, word for word or by what they ask. Pure."""

from __future__ import annotations

from bot.engine.cache.key import ground, key, normalised
from bot.engine.cache.validity import evidence, lasting

__all__ = ["evidence", "ground", "key", "lasting", "normalised"]
