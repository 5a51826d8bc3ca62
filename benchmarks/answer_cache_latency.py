"""Measures how long a user waits for an answer from the answer cache.

    python -m benchmarks.answer_cache_latency [--questions 40] [--rounds 5]

Runs the whole product without a model over the sample handbook. The time starts when a message is accepted and ends
when its answer is stored; each question gets a thread of its own. Questions are asked for the first time, then again in
the same words, in other words, and after an unrelated document was ingested. In the last case the search runs once more
to confirm that the cached answer is still valid.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.long_thread_tokens import headings
from benchmarks.shared.harness import ASKER, ask, fresh_postgres, run, sample_app, table
from bot.app import App
from bot.evals.metrics import percentile
from bot.types.conversation import LOCAL_TENANT, ThreadKey
from bot.types.turns import Outcome
from knowledge.sources.source_factory import open_source

QUESTION = "What does the handbook say about {}?"
SAME_WORDS = "  what does the handbook say about {}"
OTHER_WORDS = "Hello, what does a handbook say about {}, please?"
UNRELATED = "# Mangroves\n\nThe mangrove in pot {} of the greenhouse is watered on the {}th day of a month by nobody.\n"


async def _ask(app: App, text: str) -> tuple[float, Outcome]:
    """Ask a question; return the milliseconds from the message to its stored answer, and the outcome."""
    start = time.perf_counter()
    outcome = await ask(app.dispatcher, ThreadKey(LOCAL_TENANT, "web", "general", uuid.uuid4().hex), ASKER, text)
    milliseconds = 1000 * (time.perf_counter() - start)
    await app.dispatcher.settled()
    return milliseconds, outcome


async def _round(app: App, form: str, subjects: Sequence[str]) -> dict[str, object]:
    seen = [await _ask(app, form.format(subject)) for subject in subjects]
    waits = [milliseconds for milliseconds, outcome in seen if outcome.cached] or [
        milliseconds for milliseconds, _ in seen
    ]
    return {
        "asked": len(seen),
        "cached": sum(outcome.cached for _, outcome in seen),
        "p50": percentile(waits, 0.5),
        "p95": percentile(waits, 0.95),
    }


async def _ingest_unrelated(app: App, folder: Path, number: int) -> None:
    (folder / f"{number}.md").write_text(UNRELATED.format(number, number), encoding="utf-8")
    source = open_source(str(folder), fetch_allow=(), max_bytes=10**7, files=True)
    await app.ingestor.ingest([source], tenant_id=LOCAL_TENANT)


async def measure(
    url: str, subjects: Sequence[str], rounds: int, *, report: Callable[[str, dict[str, object]], None]
) -> None:
    """Ask all questions and report each kind's figures; waits are in milliseconds."""
    with tempfile.TemporaryDirectory() as folder:
        async with sample_app(url, cache_shadow=0.0, daily_tokens=0) as app:
            await _ask(app, "Is anybody there?")
            report("asked for the first time", await _round(app, QUESTION, subjects))
            report("in the same words", await _round(app, SAME_WORDS, list(subjects) * rounds))
            report("in other words", await _round(app, OTHER_WORDS, list(subjects) * rounds))
            await _ingest_unrelated(app, Path(folder), 1)
            report("after an unrelated document was ingested", await _round(app, SAME_WORDS, subjects))


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    rows: dict[str, object] = {}

    def report(kind: str, figures: dict[str, object]) -> None:
        rows.update({f"{kind}: {name}": value for name, value in figures.items()})

    with fresh_postgres() as url:
        run(measure(url, headings()[: given.questions], given.rounds, report=report))
    print(table(rows))


if __name__ == "__main__":
    main()
