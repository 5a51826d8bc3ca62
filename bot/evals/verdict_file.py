"""Keeps the verdicts of judges in a file, so that an answer that did not change is not judged and paid for again."""

from __future__ import annotations

import json
from collections.abc import Iterator, MutableMapping
from contextlib import suppress
from pathlib import Path

NAME = "judge-verdicts.jsonl"


class VerdictFile(MutableMapping[str, str]):
    """Verdicts as JSON by their key, one pair a line. Lines that cannot be read are skipped.

    If the file cannot be written, the verdicts are kept until the process ends.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._verdicts: dict[str, str] = {}
        with suppress(OSError, UnicodeDecodeError):
            for line in path.read_text(encoding="utf-8").split("\n"):
                with suppress(ValueError, TypeError):
                    key, verdict = json.loads(line)
                    self._verdicts[str(key)] = str(verdict)

    def __getitem__(self, key: str) -> str:
        return self._verdicts[key]

    def __setitem__(self, key: str, verdict: str) -> None:
        self._verdicts[key] = verdict
        with suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8") as file:
                file.write(f"{json.dumps([key, verdict])}\n")

    def __delitem__(self, key: str) -> None:
        del self._verdicts[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._verdicts)

    def __len__(self) -> int:
        return len(self._verdicts)
