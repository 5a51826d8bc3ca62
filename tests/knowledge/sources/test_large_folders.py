"""A folder is listed with a fixed number of system calls for each entry, however many it has."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from knowledge.sources.files import FolderSource

CALLS_PER_FILE = 5


def calls_to_list(folder: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """Return how many system calls ask about a file while the folder is listed."""
    calls = 0

    def counted(call: Any) -> Any:
        def count(*args: Any, **options: Any) -> Any:
            nonlocal calls
            calls += 1
            return call(*args, **options)

        return count

    with monkeypatch.context() as patched:
        for name in ("stat", "lstat", "readlink", "scandir", "open", "listdir"):
            patched.setattr(os, name, counted(getattr(os, name)))
        source = FolderSource(folder, max_bytes=1000)
        assert source.count() == sum(path.suffix == ".md" for path in folder.rglob("*"))
    return calls


def test_each_entry_costs_the_same_in_a_small_and_in_a_large_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = []
    for number in (200, 2000):
        folder = tmp_path / str(number)
        for place in range(number):
            path = folder / f"part{place % 20}" / f"n{place}.md"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        counts.append(calls_to_list(folder, monkeypatch))
    assert counts[1] <= 10 * counts[0]
    assert counts[1] <= CALLS_PER_FILE * 2000
