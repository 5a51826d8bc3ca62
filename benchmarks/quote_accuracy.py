"""Measures how often the quoted sentence is the one with the answer, in each language.

    python -m benchmarks.quote_accuracy [BEIR_DIR ...] [--model NAME] [--every 1]

A folder is a data set in BEIR format whose queries have an ``answer``, a span of the relevant document, as XQuAD has.
Questions whose answer is not in that document word for word are left out. They are asked over all documents, and those
about every second document are asked once more over the others. No model writes.

Prints the share of questions for which a passage with the answer was found, and of those whose first quote, first two
quotes and quotes have the answer, in a quote of the relevant document. ``declined`` is the share of them that found
nothing good enough. ``kept_quiet`` is the share of the questions without their document that are declined.
``--every 3`` asks every third question.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean

from benchmarks.shared.harness import fresh_postgres, run, sample_app
from bot.app import App
from bot.evals import beir, retrieval
from bot.evals.scratch_schema import scratch_schema
from bot.llm.quoting.quote_selection import Quote, best_quotes
from knowledge.packaged_models import MULTILINGUAL_MODEL, OFFLINE_MODEL
from knowledge.search.retriever import Retriever
from knowledge.types.scope import Scope
from knowledge.types.search_results import Found, Passage


@dataclass(frozen=True)
class Asked:
    """A question, its answer, and the name of the document that has it."""

    question: str
    answer: str
    document: str


@dataclass(frozen=True)
class Outcome:
    """What came of a question. ``quotes`` says of each quote, the best first, whether it has the answer."""

    found: bool
    declined: bool
    quotes: tuple[bool, ...] = ()


def questions(folder: Path, dataset: retrieval.DataSet, every: int = 1) -> list[Asked]:
    """Return the questions of a data set whose answer is in their document word for word."""
    answers = {str(row["_id"]): str(row.get("answer") or "") for row in beir.rows(folder, "queries.jsonl")}
    asked = [
        Asked(text, answers[name], next(iter(dataset.relevance[name])))
        for name, text in dataset.queries.items()
        if answers[name] and dataset.relevance.get(name)
    ]
    return [one for one in asked if has_answer(dataset.corpus[one.document].text, one.answer)][::every]


def has_answer(text: str, answer: str) -> bool:
    """Return whether a text has the answer, ignoring white space and case."""
    return " ".join(answer.split()).casefold() in " ".join(text.split()).casefold()


def outcome(asked: Asked, found: Found) -> Outcome:
    """Return what the quotes from a search result are worth."""

    def is_right(passage: Passage, text: str) -> bool:
        return passage.source == asked.document and has_answer(text, asked.answer)

    def is_right_quote(quote: Quote) -> bool:
        return is_right(found.passages[quote.n - 1], quote.text)

    holds = any(is_right(passage, passage.text) for passage in found.passages)
    if not found.passages or found.confidence < found.decline_below:
        return Outcome(holds, True)
    return Outcome(holds, False, tuple(map(is_right_quote, best_quotes(asked.question, found.passages))))


def line(name: str, answerable: Sequence[Outcome], unanswerable: Sequence[Outcome]) -> str:
    """Return the figures of one data set as a line."""
    shares = {
        "found": mean(one.found for one in answerable),
        "first": mean(any(one.quotes[:1]) for one in answerable),
        "first_two": mean(any(one.quotes[:2]) for one in answerable),
        "any": mean(any(one.quotes) for one in answerable),
        "declined": mean(one.declined for one in answerable),
        "kept_quiet": mean(one.declined for one in unanswerable),
    }
    figures = ", ".join(f"{label} {share:.3f}" for label, share in shares.items())
    return f"{name}, {len(answerable)} and {len(unanswerable)} questions: {figures}"


async def ask(asked: Sequence[Asked], retriever: Retriever, k: int) -> list[Outcome]:
    """Return what came of each question."""
    return [outcome(one, await retriever(one.question, Scope(retrieval.TENANT), k=k)) for one in asked]


async def measure(folder: Path, app: App, every: int) -> str:
    """Ingest every second document, then all, and return the figures of the questions."""
    dataset = retrieval.read(folder)
    asked = questions(folder, dataset, every)
    half: Mapping[str, retrieval.Row] = dict(list(dataset.corpus.items())[::2])
    async with scratch_schema(app.database.session_url) as database:
        retriever = app.retriever.on(database.tenant)
        chunk_tokens, k = app.settings.chunk_tokens, app.settings.passages
        await retrieval.ingest(replace(dataset, corpus=half), database, app.embedder, chunk_tokens)
        without = await ask([one for one in asked if one.document not in half], retriever, k)
        await retrieval.ingest(dataset, database, app.embedder, chunk_tokens)
        return line(folder.name, await ask(asked, retriever, k), without)


async def main(folders: Sequence[Path], model: str, every: int) -> None:
    """Print a line for each folder."""
    if not folders:
        print("Nothing measured: name folders in BEIR form whose queries have an answer.")
        return
    with fresh_postgres() as url:
        async with sample_app(url, embedding_model=model) as app:
            for folder in folders:
                print(await measure(folder, app, every), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", type=Path, metavar="BEIR_DIR")
    parser.add_argument("--model", choices=(OFFLINE_MODEL, MULTILINGUAL_MODEL), default=OFFLINE_MODEL)
    parser.add_argument("--every", type=int, default=1, metavar="N", help="ask every Nth question")
    options = parser.parse_args()
    run(main(options.folders, options.model, options.every))
