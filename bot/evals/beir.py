"""Reads data sets in BEIR format: a folder with ``corpus.jsonl``, ``queries.jsonl`` and ``qrels.tsv``."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bot.errors import UsageError
from bot.evals import jsonl


def rows(folder: Path, name: str) -> list[Mapping[str, Any]]:
    """Return the rows of a JSONL file of the data set, such as ``corpus.jsonl``. Raises UsageError."""
    return jsonl.read(_existing(folder / name), lambda row, _: row, of="a data set in BEIR format")


def relevance(folder: Path) -> dict[str, dict[str, int]]:
    """Return the relevant documents of each query with their grades, all above 0. Raises UsageError."""
    path = _existing(folder / "qrels.tsv")
    found: dict[str, dict[str, int]] = defaultdict(dict)
    with path.open(encoding="utf-8", newline="") as lines:
        for number, line in enumerate(csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE), 1):
            if number == 1 or not line:
                continue
            try:
                query, document, grade = line[0], line[1], int(line[2])
            except (IndexError, ValueError):
                raise UsageError(f"{path}, line {number}: not a query, a document and a whole grade.") from None
            if grade > 0:
                found[query][document] = grade
    return dict(found)


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise UsageError(f"{path} cannot be read. Name a folder with a data set in BEIR format.")
    return path
