"""The sample documents: the handbook of Quillmarsh, a fictional company."""

from __future__ import annotations

from pathlib import Path


def path() -> Path:
    """Return the folder of the handbook. It has no other files."""
    return Path(__file__).parent / "handbook"


def questions() -> tuple[str, ...]:
    """Return three questions that the handbook answers."""
    lines = (Path(__file__).parent / "questions.txt").read_text(encoding="utf-8").splitlines()
    return tuple(line.strip() for line in lines if line.strip())


def answer_cases() -> Path:
    """Return the file of questions with the facts and sources that their answers must have."""
    return Path(__file__).parent / "answer_cases.jsonl"
