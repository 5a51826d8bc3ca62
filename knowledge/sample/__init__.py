"""The sample documents: the handbook of Quillmarsh, a company that does not exist."""

from __future__ import annotations

from pathlib import Path


def path() -> Path:
    """The folder that holds the handbook and nothing else."""
    return Path(__file__).parent / "handbook"


def questions() -> tuple[str, ...]:
    """Three questions that the handbook answers."""
    lines = (Path(__file__).parent / "questions.txt").read_text(encoding="utf-8").splitlines()
    return tuple(line.strip() for line in lines if line.strip())
