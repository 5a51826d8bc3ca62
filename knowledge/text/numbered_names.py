"""Tells files of one name apart by a number before the extension, as in ``plan (2).pdf``."""

from __future__ import annotations


def numbered(name: str, number: int) -> str:
    """Return ``mails/plan (2).pdf`` for ``mails/plan.pdf`` and 2, and the name itself for 1."""
    if number == 1:
        return name
    folder, slash, file = name.rpartition("/")
    stem, dot, extension = file.rpartition(".")
    shown = f"{stem} ({number}){dot}{extension}" if stem.strip(".") else f"{file} ({number})"
    return f"{folder}{slash}{shown}"
