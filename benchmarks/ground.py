"""What the benchmarks stand on: a Postgres of their own for the length of one run, and how they print."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from bot.store import embedded, migrate


@contextmanager
def fresh_postgres() -> Iterator[str]:
    """The address of a migrated database in a temporary folder, which is gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="parley-benchmark-"))
    server = embedded.start(folder)
    try:
        migrate.upgrade(server.url)
        yield server.url
    finally:
        server.release()
        shutil.rmtree(folder, ignore_errors=True)


def table(rows: Mapping[str, object]) -> str:
    """Names and figures in two columns."""
    width = max(map(len, rows), default=0)
    return "\n".join(f"{name:<{width}}  {_figure(value)}" for name, value in rows.items())


def _figure(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
