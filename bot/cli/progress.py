"""Progress bars on the terminal, for ingestion and for the start of ``parley up``."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Column

from bot.cli import user_messages
from bot.cli.output import console, printable
from bot.commands.ingest_user_messages import counted
from bot.types.conversation import LOCAL_TENANT
from knowledge import sample as handbook
from knowledge.types.ingest_reports import Progress as IngestProgress

if TYPE_CHECKING:
    from bot.app import App

LINE_SECONDS = 1.0
"""Seconds between two progress lines if stderr is not a terminal, for example if it is a log file."""
_MIN_BAR = 4
_BESIDE_DESCRIPTION = len("⠋") + _MIN_BAR + len("/") + len("0:00:00") + 4
"""Columns of a line beside its description and the two numbers of its count, with a space between its five parts."""


def bars() -> Progress:
    """Return progress bars on stderr with description, count and elapsed time. The bar gives way on a narrow line."""
    return Progress(
        SpinnerColumn(finished_text="✓"),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=30),
        MofNCompleteColumn(table_column=Column(no_wrap=True)),
        TimeElapsedColumn(table_column=Column(no_wrap=True)),
        console=console(stderr=True),
    )


def follower(progress: Progress, *, clock: Callable[[], float] = time.monotonic) -> Callable[[IngestProgress], None]:
    """Return a callback that shows each source as a bar, or as lines where stderr is not a terminal."""
    tasks: dict[str, TaskID] = {}
    printed_at: dict[str, float] = {}

    def show(at: IngestProgress) -> None:
        source, counts = printable(at.source), counted(at)
        line = f"{source}: {counts}"
        if at.source not in tasks:
            tasks[at.source] = progress.add_task("", total=at.total)
        room = progress.console.width - _BESIDE_DESCRIPTION - 2 * len(str(at.total or 0)) - len(f": {counts}")
        shown = f"{end_of(source, room)}: {counts}"
        progress.update(tasks[at.source], description=shown, completed=at.done, total=at.total)
        if not progress.console.is_terminal and clock() - printed_at.get(at.source, 0.0) >= LINE_SECONDS:
            printed_at[at.source] = clock()
            progress.console.print(line)

    return show


def end_of(name: str, columns: int) -> str:
    """Return the name, or its end after an ellipsis if it is wider than this: the end of a path tells most."""
    if cell_len(name) <= columns:
        return name
    kept = name
    while kept and cell_len(kept) >= columns:
        kept = kept[1:]
    return f"…{kept}"


class Steps:
    """Shows the steps of a start as progress bars."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def begin(self, description: str, total: int | None = 1) -> TaskID:
        """Show a step as running."""
        return self._progress.add_task(description, total=total)

    def end(self, step: TaskID) -> None:
        """Show a step as done."""
        task = self._progress.tasks[step]
        self._progress.update(step, total=task.total or 1, completed=task.total or 1)

    def close(self) -> None:
        """Stop updating the bars."""
        self._progress.stop()

    async def ingest_sample(self, app: App) -> None:
        """Ingest the sample handbook. Unchanged documents are skipped."""
        step = self.begin(user_messages.ADDING_SAMPLE, None)
        source = app.services.open_source(str(handbook.path()), files=True)
        report = await app.ingestor.ingest(
            [source], tenant_id=LOCAL_TENANT, on_progress=lambda progress: self.show(step, progress)
        )
        self.end(step)
        for failure in report.failed:
            self._progress.console.print(printable(f"  {failure.source}: {failure.error}"))

    def show(self, step: TaskID, progress: IngestProgress) -> None:
        """Show the progress of an ingestion."""
        self._progress.update(step, completed=progress.done, total=progress.total)


@contextmanager
def steps() -> Iterator[Steps]:
    """Show progress bars while the body runs."""
    progress = bars()
    with progress:
        yield Steps(progress)
