"""Measures how long a user waits for an answer from the cache.

    python -m benchmarks.answer_cache_latency [--questions 40] [--rounds 5]

The whole product without a model over the sample handbook, from the acceptance of a message to the stored answer, each
question in a thread of its own: first asked anew, then again in the same words, in other words, and after a document
was taken in that has nothing to do with them, when a question is searched for once more to see that the answer stands.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from pydantic import SecretStr

from benchmarks.benchmark_database import fresh_postgres, run, table
from benchmarks.long_thread_tokens import headings
from bot.app import App, open_app
from bot.commands.ask import NullSurface
from bot.config import Settings
from bot.types.conversation import LOCAL_TENANT, Author, Incoming, ThreadKey
from bot.types.turns import Outcome
from knowledge import sample
from knowledge.sources import open_source

ASKED = "What does the handbook say about {}?"
SAME = "  what does the handbook say about {}"
OTHER = "Hello, what does a handbook say about {}, please?"
UNRELATED = "# Mangroves\n\nThe mangrove in pot {} of the greenhouse is watered on the {}th day of a month by nobody.\n"


async def _asked(app: App, text: str) -> tuple[float, Outcome]:
    """Return the milliseconds from the message to its stored answer."""
    key = ThreadKey(LOCAL_TENANT, "web", "general", uuid.uuid4().hex)
    message = Incoming(key, uuid.uuid4().hex, Author("ann", "Ann"), text, "mention", datetime.now(UTC))
    start = time.perf_counter()
    turn = await app.dispatcher.accept(message)
    assert turn is not None
    outcome = await app.dispatcher.start(turn, NullSurface())
    spent = 1000 * (time.perf_counter() - start)
    await app.dispatcher.settled()
    return spent, outcome


async def _round(app: App, form: str, subjects: Sequence[str]) -> dict[str, object]:
    seen = [await _asked(app, form.format(subject)) for subject in subjects]
    waits = [spent for spent, outcome in seen if outcome.cached] or [spent for spent, _ in seen]
    return {
        "asked": len(seen),
        "cached": sum(outcome.cached for _, outcome in seen),
        "p50": percentile(waits, 0.5),
        "p95": percentile(waits, 0.95),
    }


def percentile(waits: Sequence[float], share: float) -> float:
    """Return the waiting time that ``share`` of all do not exceed."""
    ordered = sorted(waits)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


async def _unrelated(app: App, folder: Path, number: int) -> None:
    (folder / f"{number}.md").write_text(UNRELATED.format(number, number), encoding="utf-8")
    source = open_source(str(folder), fetch_allow=(), max_bytes=10**7, files=True)
    await app.ingestor.ingest([source], tenant_id=LOCAL_TENANT)


async def measured(
    url: str, subjects: Sequence[str], rounds: int, *, told: Callable[[str, dict[str, object]], None]
) -> None:
    """Ask all questions; report the waiting times of each kind, in milliseconds, to ``told``."""
    with tempfile.TemporaryDirectory() as folder:
        made = Settings(
            _env_file=None, database_url=SecretStr(url), data_dir=Path(folder), cache_shadow=0.0, daily_tokens=0
        )
        async with open_app(made) as app:
            source = open_source(str(sample.path()), fetch_allow=(), max_bytes=10**7, files=True)
            await app.ingestor.ingest([source], tenant_id=LOCAL_TENANT)
            await _asked(app, "Is anybody there?")
            told("asked for the first time", await _round(app, ASKED, subjects))
            told("in the same words", await _round(app, SAME, list(subjects) * rounds))
            told("in other words", await _round(app, OTHER, list(subjects) * rounds))
            pots = Path(folder) / "pots"
            pots.mkdir()
            await _unrelated(app, pots, 1)
            told("after an unrelated document came", await _round(app, SAME, subjects))


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    rows: dict[str, object] = {}

    def told(kind: str, figures: dict[str, object]) -> None:
        rows.update({f"{kind}: {name}": value for name, value in figures.items()})

    with fresh_postgres() as url:
        run(measured(url, headings()[: given.questions], given.rounds, told=told))
    print(table(rows))


if __name__ == "__main__":
    main()
