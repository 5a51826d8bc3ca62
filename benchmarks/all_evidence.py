"""Measures how often a search finds all the evidence of questions that need two or more documents.

    python -m benchmarks.all_evidence [BEIR_DIR ...]

Always asks 46 messages of two questions about the sample handbook, whose answers are in different documents. Of each
folder in BEIR format, asks the questions with two or more relevant documents. Each question is searched as a whole, in
its parts as the engine does without a model, and as a whole again for as many passages as the parts found.

Prints the share of questions whose evidence is all found, the mean share of evidence found, the mean number of parts,
passages and tokens of the passages, and the median of the milliseconds.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median
from types import SimpleNamespace
from typing import cast

from benchmarks.shared.harness import fresh_postgres, run, sample_app
from bot.app import App
from bot.engine.answer.context import Context
from bot.engine.answer.query import find
from bot.evals import retrieval
from bot.evals.scratch_schema import scratch_schema
from bot.llm.tokens import TokenCounter
from bot.types.conversation import LOCAL_TENANT
from knowledge import sample
from knowledge.compound_questions import parts_of
from knowledge.search.retriever import Retriever
from knowledge.types.scope import Scope
from knowledge.types.search_results import Found, Passage

STEPS = (7, 11)
"""The distances of the sample's questions that are asked together."""

Holds = Callable[[Passage], bool]


@dataclass(frozen=True)
class Asked:
    """A question, and for each piece of its evidence a test of whether a passage holds it."""

    question: str
    evidence: Sequence[Holds]


def sample_questions() -> list[Asked]:
    """Return pairs of the sample's direct questions whose answers are in different documents."""
    lines = (sample.path().parent / "answer_cases.jsonl").read_text(encoding="utf-8").splitlines()
    cases = [case for case in map(json.loads, lines) if case["kind"] == "direct"]
    pairs = [(one, cases[(at + step) % len(cases)]) for step in STEPS for at, one in enumerate(cases)]
    return [
        Asked(f"{one['question']} {other['question']}", [_has_facts(one["facts"]), _has_facts(other["facts"])])
        for one, other in pairs
        if one.get("sources") != other.get("sources")
    ]


def _has_facts(facts: Sequence[Sequence[str]]) -> Holds:
    return lambda passage: all(any(one.lower() in passage.text.lower() for one in fact) for fact in facts)


def beir_questions(dataset: retrieval.DataSet) -> list[Asked]:
    """Return the questions of a data set with two or more relevant rows."""
    places = {
        row: (document, *span)
        for document, rows in retrieval.documents(dataset.corpus).items()
        for row, span in rows.items()
    }
    return [
        Asked(dataset.queries[query], [_overlaps(*places[row]) for row in rows])
        for query, rows in dataset.relevance.items()
        if len(rows) > 1 and query in dataset.queries
    ]


def _overlaps(document: str, start: int, end: int) -> Holds:
    def holds(passage: Passage) -> bool:
        shared = min(end, passage.end) - max(start, passage.start)
        return passage.source == document and 2 * shared >= min(end - start, passage.end - passage.start)

    return holds


async def measure(name: str, asked: Sequence[Asked], retriever: Retriever, tenant: str, k: int) -> None:
    """Print a line for each way to search."""
    scope, counter = Scope(tenant), TokenCounter()
    context = cast(Context, SimpleNamespace(search=retriever, settings=SimpleNamespace(passages=k)))
    in_parts = [len((await find(context, one.question, scope)).passages) for one in asked]
    ways: dict[str, Callable[[int], Awaitable[Found]]] = {
        f"whole, {k}": lambda at: retriever(asked[at].question, scope, k=k),
        "in parts": lambda at: find(context, asked[at].question, scope),
        "whole, as many": lambda at: retriever(asked[at].question, scope, k=in_parts[at]),
    }
    parts = mean(len(parts_of(one.question)) for one in asked)
    for way, search in ways.items():
        shares, sizes, tokens, times = [], [], [], []
        for at, one in enumerate(asked):
            began = time.perf_counter()
            found = (await search(at)).passages
            times.append((time.perf_counter() - began) * 1000)
            shares.append(mean(any(map(holds, found)) for holds in one.evidence))
            sizes.append(len(found))
            tokens.append(sum(counter.count(passage.text) for passage in found))
        print(
            f"{name}, {len(asked)} questions, {parts:.1f} parts, {way}: all {mean(one == 1 for one in shares):.3f}, "
            f"mean {mean(shares):.3f}, {mean(sizes):.1f} passages, {mean(tokens):.0f} tokens, {median(times):.0f} ms",
            flush=True,
        )


async def measure_folder(folder: Path, app: App) -> None:
    """Ingest a data set into a schema of its own, and measure its questions."""
    dataset = retrieval.read(folder)
    async with scratch_schema(app.database.session_url) as database:
        await retrieval.ingest(dataset, database, app.embedder, app.settings.chunk_tokens)
        retriever = app.retriever.on(database.tenant)
        await measure(folder.name, beir_questions(dataset), retriever, retrieval.TENANT, app.settings.passages)


async def main(folders: Sequence[Path]) -> None:
    """Measure the sample and the folders."""
    with fresh_postgres() as url:
        async with sample_app(url) as app:
            await measure("sample", sample_questions(), app.retriever, LOCAL_TENANT, app.settings.passages)
            for folder in folders:
                await measure_folder(folder, app)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Measure how often all evidence of a question is found.")
    parser.add_argument("folders", nargs="*", type=Path, metavar="BEIR_DIR")
    run(main(parser.parse_args().folders))
