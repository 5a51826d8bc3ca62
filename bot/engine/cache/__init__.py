"""Decides which questions may share a cached answer, and for how long an answer is valid. Does no I/O."""

from __future__ import annotations

from bot.engine.cache.key import ground, key
from bot.engine.cache.validity import evidence, lifetime

__all__ = ["evidence", "ground", "key", "lifetime"]
