"""Progress bars keep their numbers where the terminal is narrow and the source has a long name."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest
from rich.console import Console
from rich.progress import Progress

from bot.cli import progress
from knowledge.types.ingest_reports import Progress as IngestProgress

ADDRESS = "https://handbook.example/departments/engineering/on-call/rotations/2026/november/index.html"
WIDE = "/文書/" + "経費精算の手引き" * 9 + "/目次.md"


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Callable[[IngestProgress, int], str]:
    """Returns what a terminal of this width shows of the progress of a source."""

    def show(at: IngestProgress, columns: int) -> str:
        terminal = Console(width=columns, force_terminal=True, file=io.StringIO(), color_system=None)
        monkeypatch.setattr(progress, "console", lambda **_: terminal)
        bars: Progress = progress.bars()
        progress.follower(bars)(at)
        with terminal.capture() as captured:
            terminal.print(bars.get_renderable())
        return captured.get()

    return show


@pytest.mark.parametrize("columns", [60, 80, 200])
@pytest.mark.parametrize("source", ["notes.md", ADDRESS, WIDE])
def test_numbers_and_the_end_of_the_name_are_shown(
    shown: Callable[[IngestProgress, int], str], source: str, columns: int
) -> None:
    line = shown(IngestProgress(source, 142, 310, 2, kind="url"), columns)
    assert ": 142 of 310 pages, 2 failed" in line
    assert "142/310" in line
    assert "0:00:00" in line
    assert source[-3:] in line
    assert line.count("\n") == 1


@pytest.mark.parametrize("columns", [60, 80])
def test_a_source_of_thousands_keeps_both_counts(shown: Callable[[IngestProgress, int], str], columns: int) -> None:
    line = shown(IngestProgress(ADDRESS, 12_345, 98_765, 0, kind="url"), columns)
    assert "12345 of 98765 pages" in line
    assert "12345/98765" in line


def test_a_short_name_is_not_cut() -> None:
    assert progress.end_of("notes.md", 8) == "notes.md"
    assert progress.end_of("notes.md", 7) == "…tes.md"
