"""Progress bars on the terminal, and the words at the end of the start."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from bot.commands.ingest import counted
from bot.config import Settings
from bot.types.conversation import LOCAL_TENANT
from knowledge import sample as handbook
from knowledge.types import Progress as IngestProgress

if TYPE_CHECKING:
    from bot.app import App

LINE_EVERY = 1.0
"""Seconds between two lines of progress in a log."""


def bars() -> Progress:
    """Bars on stderr: what, how far, how long."""
    return Progress(
        SpinnerColumn(finished_text="✓"),
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
    )


def follower(progress: Progress, *, clock: Callable[[], float] = time.monotonic) -> Callable[[IngestProgress], None]:
    """Shows each source as a bar; where nobody sees bars move, as a line now and then."""
    tasks: dict[str, TaskID] = {}
    told: dict[str, float] = {}

    def show(at: IngestProgress) -> None:
        if at.source not in tasks:
            tasks[at.source] = progress.add_task(at.source, total=at.total)
        progress.update(tasks[at.source], description=f"{at.source}: {counted(at)}", completed=at.done, total=at.total)
        if not progress.console.is_terminal and clock() - told.get(at.source, 0.0) >= LINE_EVERY:
            told[at.source] = clock()
            progress.console.print(f"{at.source}: {counted(at)}", highlight=False)

    return show


class Steps:
    """The steps of a start, a bar each."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def begin(self, what: str, total: int | None = 1) -> TaskID:
        """Show a step that has begun."""
        return self._progress.add_task(what, total=total)

    def end(self, step: TaskID) -> None:
        """Show it as done."""
        task = self._progress.tasks[step]
        self._progress.update(step, total=task.total or 1, completed=task.total or 1)

    def close(self) -> None:
        """Leave the bars as they are and give the terminal back."""
        self._progress.stop()

    async def ingest_sample(self, app: App) -> None:
        """Take the sample handbook in; unchanged documents cost nothing."""
        from knowledge.sources import open_source

        step = self.begin("Taking in the sample handbook", None)
        settings = app.settings
        source = open_source(
            str(handbook.path()), fetch_allow=(), max_bytes=settings.max_file_mb * 1_000_000, files=True
        )
        report = await app.ingestor.ingest(
            [source], tenant_id=LOCAL_TENANT, on_progress=lambda progress: self.show(step, progress)
        )
        self.end(step)
        for failure in report.failed:
            self._progress.console.print(f"  {failure.source}: {failure.error}")

    def show(self, step: TaskID, progress: IngestProgress) -> None:
        """How far an ingestion is."""
        self._progress.update(step, completed=progress.done, total=progress.total)


@contextmanager
def steps() -> Iterator[Steps]:
    """Bars for the length of the body."""
    progress = bars()
    with progress:
        yield Steps(progress)


def welcome(address: str, settings: Settings, *, sample: bool) -> None:
    """The address, who answers, and three questions to try."""
    writer = (
        "Models write the answers."
        if settings.has_model
        else (
            "No model key is set, so answers quote the documents word for word. "
            "Set ANTHROPIC_API_KEY or OPENAI_API_KEY to have them written."
        )
    )
    click.echo(f"\nParley is ready at {address}\n{writer}", err=True)
    if sample:
        click.echo("\nThree questions to try:", err=True)
        for question in handbook.questions()[:3]:
            click.echo(f"  - {question}", err=True)
    click.echo("\nCtrl-C stops it.", err=True)
