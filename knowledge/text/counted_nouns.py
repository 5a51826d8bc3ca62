"""Writes counts with their noun, for messages. Does no I/O."""

from __future__ import annotations


def counted(count: int, noun: str, plural: str = "") -> str:
    """Return a count with its noun: ``1 page``, ``2 pages``. ``plural`` is for nouns that take more than an s."""
    return f"{count} {noun}" if count == 1 else f"{count} {plural or noun + 's'}"
