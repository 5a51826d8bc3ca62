"""Compares chunking methods by how much evidence fits into the same token budget.

    python -m benchmarks.chunking DIR [--only METHOD ...] [--every N] [--database-url URL] [--json]

DIR contains documents as ``NAME.md``, and ``questions.jsonl`` with ``question``, ``corpus`` (the NAME) and
``references``: ``start_index`` and ``end_index`` of the evidence in characters. For each chunking method, the product's
Ingestor ingests all documents into a scratch schema, and the product's Retriever ranks the chunks for every question.
The benchmark then reads down the ranking, each chunk or its window, nothing twice, until the token budget is used up;
the last piece is cut. The result is the mean share of each question's evidence characters that were read.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import text

from benchmarks.shared.harness import fresh_postgres, run
from bot.evals import jsonl
from bot.evals.scratch_schema import scratch_schema
from bot.store.database.session import Database
from knowledge.chunking import METHODS, Chunking
from knowledge.chunking.token_counting import CountTokens
from knowledge.embedders import SentenceTransformerEmbedder
from knowledge.ingest import Ingestor
from knowledge.parsing import plain_text
from knowledge.ports import Embedder
from knowledge.search.retriever import Retriever
from knowledge.types.documents import Document
from knowledge.types.scope import Scope
from knowledge.types.source_items import NOTHING_KNOWN, Fetched, Item, Known

TENANT = "benchmark"
BUDGETS = (500, 1000, 2000)
STAGES = ("sparse", "dense", "fused")
VARIANTS = (
    Chunking("packed", 256),
    Chunking("packed", 128),
    Chunking("fixed", 256),
    Chunking("fixed", 256, 64),
    Chunking("sentence-window", 256),
    Chunking("semantic", 256),
)
Span = tuple[str, int, int]
"""Document name, first character, and the character after the last."""


@dataclass(frozen=True, slots=True)
class Question:
    """A question and the location of its evidence."""

    asked: str
    evidence: tuple[Span, ...]


class Texts:
    """Provides the documents as source and parser; ``cost`` counts the tokens of a span."""

    kind = "data"
    uri = "documents"

    def __init__(self, texts: Mapping[str, str], count: CountTokens) -> None:
        self.texts = texts
        self._cumulative_tokens = {name: _cumulative_tokens(body, count) for name, body in texts.items()}

    def count(self) -> int | None:
        return len(self.texts)

    async def fetch(self, known: Known = NOTHING_KNOWN) -> AsyncIterator[Item]:
        for name, body in self.texts.items():
            yield Fetched(name, body.encode())

    async def parse(self, fetched: Fetched, *, include_hidden: bool = False) -> Document:
        parsed = plain_text.parse(fetched.data.decode())
        assert parsed.text == self.texts[fetched.uri]
        return Document(fetched.uri, "", parsed.text, parsed.blocks)

    async def aclose(self) -> None:
        return None

    def cost(self, span: Span) -> int:
        name, start, end = span
        return int(self._cumulative_tokens[name][end] - self._cumulative_tokens[name][start])

    def cut(self, span: Span, tokens: int) -> Span:
        """Return the beginning of a span that has the given number of tokens."""
        name, start, end = span
        cumulative = self._cumulative_tokens[name]
        return (
            name,
            start,
            start + int(np.searchsorted(cumulative[start : end + 1], cumulative[start] + tokens, "right")) - 1,
        )


def _cumulative_tokens(body: str, count: CountTokens) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return the number of tokens in the first n characters at index n. A word's tokens count with its last
    character."""
    words = body.split()
    sizes = np.zeros(len(body) + 1, np.int64)
    at = 0
    for word, tokens in zip(words, count(words), strict=True):
        at = body.index(word, at) + len(word)
        sizes[at] = tokens
    return np.fromiter(accumulate(sizes.tolist()), np.int64, len(sizes))


def read(spans: Sequence[Span], texts: Texts, tokens: int) -> dict[str, set[int]]:
    """Return the characters that are read within the token budget, by document."""
    seen: dict[str, set[int]] = defaultdict(set)
    for name, start, end in spans:
        for piece in _unread(seen[name], (name, start, end)):
            cost = texts.cost(piece)
            kept = piece if cost <= tokens else texts.cut(piece, tokens)
            seen[name].update(range(kept[1], kept[2]))
            tokens -= cost
            if tokens <= 0:
                return seen
    return seen


def _unread(seen: set[int], span: Span) -> list[Span]:
    name, start, end = span
    if not seen:
        return [span]
    fresh = [place for place in range(start, end) if place not in seen]
    pieces: list[Span] = []
    for place in fresh:
        if pieces and pieces[-1][2] == place:
            pieces[-1] = (name, pieces[-1][1], place + 1)
        else:
            pieces.append((name, place, place + 1))
    return pieces


def share(question: Question, seen: Mapping[str, set[int]]) -> float:
    """Return the share of the evidence that was read."""
    wanted = {(name, place) for name, start, end in question.evidence for place in range(start, end)}
    return sum(place in seen.get(name, ()) for name, place in wanted) / max(1, len(wanted))


def questions(folder: Path) -> list[Question]:
    """Load the questions of the folder."""
    rows = jsonl.read(folder / "questions.jsonl", lambda row, _: row, of="questions")
    return [
        Question(
            row["question"],
            tuple((str(row["corpus"]), int(one["start_index"]), int(one["end_index"])) for one in row["references"]),
        )
        for row in rows
    ]


def documents(folder: Path) -> dict[str, str]:
    """Load the documents of the folder, by name."""
    return {path.stem: path.read_text() for path in sorted(folder.glob("*.md"))}


async def measure(
    chunking: Chunking, url: str, texts: Texts, asked: Sequence[Question], embedder: Embedder
) -> dict[str, Any]:
    """Measure one chunking: chunks, seconds, and the evidence read by each retrieval stage at each budget."""
    async with scratch_schema(url) as database:
        ingestor = Ingestor(
            database.tenant,
            embedder,
            chunk_tokens=chunking.tokens,
            chunking=chunking.method,
            chunk_overlap=chunking.overlap,
            parser=texts,
        )
        report = await ingestor.ingest([texts], tenant_id=TENANT)
        spans = await _spans(database)
        retriever = Retriever(database.tenant, embedder)
        evidence_read: dict[str, dict[int, list[float]]] = {
            stage: {budget: [] for budget in BUDGETS} for stage in STAGES
        }
        for question in asked:
            ranking = await retriever.rank(question.asked, Scope(TENANT))
            for stage, pairs in (("sparse", ranking.sparse), ("dense", ranking.dense), ("fused", ranking.fused)):
                ranked = [spans[number] for number, _ in pairs]
                for budget in BUDGETS:
                    evidence_read[stage][budget].append(share(question, read(ranked, texts, budget)))
    return {
        "chunking": chunking.recipe("the model"),
        "chunks": report.chunks,
        "tokens": round(sum(map(texts.cost, spans.values())) / max(1, len(spans))),
        "seconds": round(report.seconds, 1),
        "evidence_read": {
            stage: {str(budget): round(float(np.mean(values)), 3) for budget, values in by_budget.items()}
            for stage, by_budget in evidence_read.items()
        },
    }


async def _spans(database: Database) -> dict[int, Span]:
    """Return the span that is read for each chunk: its window if it has one."""
    async with database.tenant(TENANT) as session:
        rows = await session.execute(
            text(
                "SELECT chunk_id, uri, coalesce(window_start, start_char), coalesce(window_end, end_char) FROM chunks "
                "JOIN documents ON documents.tenant_id = chunks.tenant_id AND documents.id = document_id"
            )
        )
        return {number: (str(uri), start, end) for number, uri, start, end in rows}


def show(rows: Sequence[Mapping[str, Any]]) -> str:
    """Format the results as a Markdown table."""
    head = ["chunking", "chunks", "tokens read each", "seconds"]
    head += [f"{stage} {budget}" for budget in BUDGETS for stage in STAGES]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for row in rows:
        cells = [row["chunking"], str(row["chunks"]), str(row["tokens"]), str(row["seconds"])]
        cells += [f"{row['evidence_read'][stage][str(budget)]:.3f}" for budget in BUDGETS for stage in STAGES]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


async def main(arguments: argparse.Namespace, url: str) -> None:
    """Measure the chosen chunking methods and print the results."""
    embedder = SentenceTransformerEmbedder()
    folder = Path(arguments.folder)
    asked = questions(folder)[:: arguments.every]
    texts = Texts(documents(folder), embedder.count_tokens)
    rows = []
    try:
        for chunking in VARIANTS:
            if chunking.method in arguments.only:
                began = time.perf_counter()
                rows.append(await measure(chunking, url, texts, asked, embedder))
                print(f"{rows[-1]['chunking']}: {time.perf_counter() - began:.0f} s", flush=True)
    finally:
        await embedder.aclose()
    print(json.dumps({"questions": len(asked), "chunkings": rows}) if arguments.json else show(rows))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--only", nargs="+", choices=METHODS, default=METHODS)
    parser.add_argument("--every", type=int, default=1, help="ask every Nth question")
    parser.add_argument("--database-url", help="default: an embedded server")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with nullcontext(given.database_url) if given.database_url else fresh_postgres() as database_url:
        run(main(given, database_url))
