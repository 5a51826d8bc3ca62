"""Measures how much evidence is left after passages are compressed to a share of their tokens.

    python -m benchmarks.passage_compression DIR [--share 0.5] [--passages 5] [--words]

DIR contains ``questions.jsonl`` (``question``, ``corpus`` and ``references`` with ``start_index`` and ``end_index``)
and a document ``CORPUS.md`` for each corpus. Documents are chunked as for the index, and BM25 finds the passages.
Compression uses the vectors of their sentences, or only words with ``--words``. Tokens are counted with the tokenizer
of the offline model.

The first table prints the share of the evidence characters that is kept, and of the tokens, compared with two
baselines: the beginning of every passage, and the best passages in full. It has a row for each document, for all
questions, and for the even-numbered and odd-numbered questions, among questions whose passages contain evidence. The
second table prints how much of all evidence, found or not, is read in that many full passages, and in twice as many
compressed to the same number of tokens.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from statistics import fmean

from benchmarks.bm25_ranking import Ranker
from bot.evals import jsonl
from knowledge.chunking import chunk, indexed_text
from knowledge.embedders.local import SentenceTransformerEmbedder
from knowledge.embedders.token_vectors import Sentences, sentence_cosines
from knowledge.parsing import plain_text
from knowledge.search.passage_compression import Extract, compress
from knowledge.search.passage_merging import with_sentences
from knowledge.types.documents import Document
from knowledge.types.search_results import Passage

Span = tuple[int, int]
Count = Callable[[str], int]


@dataclass(frozen=True)
class Index:
    """A document in chunks with a BM25 index."""

    chunks: Sequence[Passage]
    ranker: Ranker[Passage]

    def best(self, question: str, k: int) -> list[Passage]:
        """Return the k best chunks."""
        return list(islice(self.ranker.ranked(question), k))


@dataclass(frozen=True)
class QuestionResult:
    """Results for one question: the share of the evidence that each method keeps, and the share of tokens after
    compression."""

    shares: dict[str, float]
    tokens: float
    milliseconds: float


@dataclass
class Results:
    """Results of several questions."""

    shares: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    tokens: list[float] = field(default_factory=list)
    milliseconds: list[float] = field(default_factory=list)

    def add(self, one: QuestionResult) -> None:
        """Add the results of a question."""
        for method, share in one.shares.items():
            self.shares[method].append(share)
        self.tokens.append(one.tokens)
        self.milliseconds.append(one.milliseconds)


def index(name: str, text: str, embedder: SentenceTransformerEmbedder) -> Index:
    """Chunk and index a document."""
    parsed = plain_text.parse(plain_text.decode(text.encode()))
    chunks = chunk(Document(name, "", parsed.text, parsed.blocks), count=embedder.count_tokens)
    passages = [
        Passage(n, "", one.text, name, name, one.heading, one.start, one.end, None, 0.0) for n, one in enumerate(chunks)
    ]
    return Index(passages, Ranker(passages, [one.text for one in passages]))


def spans(extracts: Sequence[Extract]) -> list[Span]:
    """Return the kept spans as offsets in the document."""
    return [(e.passage.start + start, e.passage.start + end) for e in extracts for start, end in e.spans]


def fronts(passages: Sequence[Passage], share: float) -> list[Span]:
    """Return the beginning of every passage."""
    return [(one.start, one.start + int(share * len(one.text))) for one in passages]


def first(passages: Sequence[Passage], share: float) -> list[Span]:
    """Return the best passages in full, and the beginning of the last one that fits."""
    room, kept = int(share * sum(len(one.text) for one in passages)), []
    for one in passages:
        kept.append((one.start, one.start + min(room, len(one.text))))
        room -= min(room, len(one.text))
    return kept


def characters(kept: Sequence[Span], evidence: Sequence[Span]) -> int:
    """Return how many characters of the evidence are kept."""
    wanted = {place for start, end in evidence for place in range(start, end)}
    return len(wanted & {place for start, end in kept for place in range(start, end)})


@dataclass
class ReadShares:
    """Shares of all evidence, with tokens: for full passages, and for twice as many compressed to as many tokens."""

    full: list[tuple[float, int]] = field(default_factory=list)
    compressed: list[tuple[float, int]] = field(default_factory=list)

    def add(
        self,
        passages: Sequence[Passage],
        twice: Sequence[Passage],
        question: str,
        evidence: Sequence[Span],
        count: Count,
    ) -> None:
        """Add the results of a question."""
        everything = characters(evidence, evidence)
        tokens, room = (sum(count(one.text) for one in group) for group in (passages, twice))
        extracts = compress(question, twice, share=tokens / room, count=count)
        shown = characters([(one.start, one.end) for one in passages], evidence)
        self.full.append((shown / everything, tokens))
        self.compressed.append(
            (characters(spans(extracts), evidence) / everything, sum(count(one.text) for one in extracts))
        )


class SentenceScorer:
    """Adds the cosines of sentences to a question to passages; encodes every chunk once."""

    def __init__(self, embedder: SentenceTransformerEmbedder) -> None:
        self._embedder = embedder
        self._sentences: dict[Passage, Sentences | None] = {}

    async def __call__(self, question: str, passages: Sequence[Passage]) -> list[Passage]:
        fresh = [one for one in passages if one not in self._sentences]
        rows = await self._embedder.encode_tokens([indexed_text(p.title, p.heading, p.text) for p in fresh], "passage")
        self._sentences |= {one: row.sentences for one, row in zip(fresh, rows, strict=True)}
        vector = (await self._embedder.encode([question], "query")).vectors[0]
        stored = [(one, self._sentences[one]) for one in passages]
        return [
            one if rows is None else with_sentences(one, sentence_cosines(vector, [rows])[0]) for one, rows in stored
        ]


async def measure(folder: Path, share: float, k: int, *, words: bool) -> tuple[dict[str, Results], ReadShares]:
    """Measure every question of the folder. Raises OSError or KeyError when the folder does not have the expected
    files."""
    embedder = SentenceTransformerEmbedder()
    near, read = SentenceScorer(embedder), ReadShares()
    found: dict[str, Results] = defaultdict(Results)

    def count(text: str) -> int:
        return embedder.count_tokens([text])[0]

    indexes: dict[str, Index] = {}
    for row in jsonl.read(folder / "questions.jsonl", lambda row, _: row, of="questions"):
        name, question = str(row["corpus"]), str(row["question"])
        if name not in indexes:
            indexes[name] = index(name, (folder / f"{name}.md").read_text(encoding="utf-8"), embedder)
        evidence = [(int(one["start_index"]), int(one["end_index"])) for one in row["references"]]
        twice = indexes[name].best(question, 2 * k)
        if not words:
            twice = await near(question, twice)
        passages = twice[:k]
        read.add(passages, twice, question, evidence, count)
        if not characters([(one.start, one.end) for one in passages], evidence):
            continue
        half = "odd" if len(found["all"].tokens) % 2 else "even"
        one = _compressed(question, passages, evidence, share, count)
        for kept in (found[name], found["all"], found[half]):
            kept.add(one)
    await embedder.aclose()
    return found, read


def _compressed(
    question: str, passages: Sequence[Passage], evidence: Sequence[Span], share: float, count: Count
) -> QuestionResult:
    there = characters([(one.start, one.end) for one in passages], evidence)
    began = time.perf_counter()
    extracts = compress(question, passages, share=share, count=count)
    milliseconds = 1000 * (time.perf_counter() - began)
    methods = {"compressed": spans(extracts), "start": fronts(passages, share), "best full": first(passages, share)}
    return QuestionResult(
        {method: characters(kept, evidence) / there for method, kept in methods.items()},
        sum(count(one.text) for one in extracts) / sum(count(one.text) for one in passages),
        milliseconds,
    )


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure how much evidence compression keeps.")
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--share", type=float, default=0.5)
    parser.add_argument("--passages", type=int, default=5)
    parser.add_argument("--words", action="store_true", help="compress by words, without sentence vectors")
    options = parser.parse_args()
    if options.folder is None:
        print("Nothing measured: give a folder with questions.jsonl and its documents.")
        return 0
    try:
        found, read = asyncio.run(measure(options.folder, options.share, options.passages, words=options.words))
    except (OSError, KeyError, ValueError) as error:
        print(f"{options.folder} is not a data set for this benchmark ({error}).", file=sys.stderr)
        return 2
    print(f"{'document':22}{'questions':>10}{'compressed':>12}{'start':>9}{'best full':>12}{'tokens':>9}{'ms':>8}")
    order = {"all": 1, "even": 2, "odd": 3}
    for name, kept in sorted(found.items(), key=lambda pair: order.get(pair[0], 0)):
        values = [fmean(kept.shares[method]) for method in ("compressed", "start", "best full")]
        print(
            f"{name:22}{len(kept.tokens):10}{values[0]:12.4f}{values[1]:9.4f}{values[2]:12.4f}"
            f"{fmean(kept.tokens):9.3f}{fmean(kept.milliseconds):8.2f}"
        )
    for label, shares in (
        (f"{options.passages} full passages", read.full),
        (f"{2 * options.passages} compressed passages", read.compressed),
    ):
        evidence, tokens = fmean(share for share, _ in shares), fmean(n for _, n in shares)
        print(f"{label:22}{evidence:.4f} of all evidence, {tokens:.0f} tokens")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
