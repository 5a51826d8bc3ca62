"""How much of the evidence is left when passages are cut down to a share of their tokens.

    python -m benchmarks.compression DIR [--share 0.5] [--passages 5]

DIR has ``questions.jsonl`` (``question``, ``corpus`` and ``references`` with ``start_index`` and ``end_index``) and a
document ``CORPUS.md`` for each corpus. Documents are chunked as they are for the index, the passages are those that
BM25 finds, and tokens are counted as the offline model counts them. Printed is, for each document and all
questions, the share of the evidence characters in the passages that is kept, beside keeping the front of every passage
and keeping the best passages whole.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

from rank_bm25 import BM25Okapi

from knowledge.chunking import chunk
from knowledge.compress import Extract, compress
from knowledge.embedders.local import SentenceTransformerEmbedder
from knowledge.parsing import plain
from knowledge.tokens import document_terms, query_terms
from knowledge.types import Document, Passage

Span = tuple[int, int]
Count = Callable[[str], int]


@dataclass(frozen=True)
class Index:
    """A document in chunks, searched by BM25."""

    chunks: Sequence[Passage]
    scores: BM25Okapi

    def best(self, question: str, k: int) -> list[Passage]:
        """The k best chunks."""
        scores = self.scores.get_scores(query_terms(question))
        return [self.chunks[place] for place in sorted(range(len(scores)), key=lambda i: (-scores[i], i))[:k]]


@dataclass
class Kept:
    """Shares of the evidence that was found, question by question."""

    shares: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    tokens: list[float] = field(default_factory=list)
    milliseconds: list[float] = field(default_factory=list)


def index(name: str, text: str, embedder: SentenceTransformerEmbedder) -> Index:
    """A document as it is indexed."""
    parsed = plain.parse(plain.decode(text.encode()))
    chunks = chunk(Document(name, "", parsed.text, parsed.blocks), count=embedder.count_tokens)
    passages = [
        Passage(n, "", one.text, name, name, one.heading, one.start, one.end, None, 0.0) for n, one in enumerate(chunks)
    ]
    return Index(passages, BM25Okapi([document_terms(one.text) for one in passages]))


def spans(extracts: Sequence[Extract]) -> list[Span]:
    """What is kept, in places of the document."""
    return [(e.passage.start + start, e.passage.start + end) for e in extracts for start, end in e.spans]


def fronts(passages: Sequence[Passage], share: float) -> list[Span]:
    """The front of every passage."""
    return [(one.start, one.start + int(share * len(one.text))) for one in passages]


def first(passages: Sequence[Passage], share: float) -> list[Span]:
    """The best passages whole, and the front of the last that fits."""
    room, kept = int(share * sum(len(one.text) for one in passages)), []
    for one in passages:
        kept.append((one.start, one.start + min(room, len(one.text))))
        room -= min(room, len(one.text))
    return kept


def characters(kept: Sequence[Span], evidence: Sequence[Span]) -> int:
    """How many characters of the evidence are kept."""
    wanted = {place for start, end in evidence for place in range(start, end)}
    return len(wanted & {place for start, end in kept for place in range(start, end)})


def measure(folder: Path, share: float, k: int) -> dict[str, Kept]:
    """Every question of the folder. Raises OSError and KeyError where it is no such folder."""
    embedder = SentenceTransformerEmbedder()

    def count(text: str) -> int:
        return embedder.count_tokens([text])[0]

    found: dict[str, Kept] = defaultdict(Kept)
    indexes: dict[str, Index] = {}
    for line in (folder / "questions.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        name = str(row["corpus"])
        if name not in indexes:
            indexes[name] = index(name, (folder / f"{name}.md").read_text(encoding="utf-8"), embedder)
        passages = indexes[name].best(row["question"], k)
        evidence = [(int(one["start_index"]), int(one["end_index"])) for one in row["references"]]
        for kept in (found[name], found["all"]):
            _one(kept, row["question"], passages, evidence, share, count)
    return found


def _one(
    kept: Kept, question: str, passages: Sequence[Passage], evidence: Sequence[Span], share: float, count: Count
) -> None:
    there = characters([(one.start, one.end) for one in passages], evidence)
    if not there:
        return
    sizes = {one.text: count(one.text) for one in passages}
    began = time.perf_counter()
    extracts = compress(question, passages, share=share)
    kept.milliseconds.append(1000 * (time.perf_counter() - began))
    kept.tokens.append(sum(count(one.text) for one in extracts) / sum(sizes.values()))
    kept.shares["compressed"].append(characters(spans(extracts), evidence) / there)
    kept.shares["fronts"].append(characters(fronts(passages, share), evidence) / there)
    kept.shares["best whole"].append(characters(first(passages, share), evidence) / there)


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure what compression keeps of the evidence.")
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--share", type=float, default=0.5)
    parser.add_argument("--passages", type=int, default=5)
    options = parser.parse_args()
    if options.folder is None:
        print("Nothing measured: give a folder with questions.jsonl and its documents.")
        return 0
    try:
        found = measure(options.folder, options.share, options.passages)
    except (OSError, KeyError, ValueError) as error:
        print(f"{options.folder} is no such data set ({error}).", file=sys.stderr)
        return 2
    print(f"{'document':22}{'questions':>10}{'compressed':>12}{'fronts':>9}{'best whole':>12}{'tokens':>9}{'ms':>8}")
    for name, kept in sorted(found.items(), key=lambda pair: pair[0] == "all"):
        values = [fmean(kept.shares[way]) for way in ("compressed", "fronts", "best whole")]
        print(
            f"{name:22}{len(kept.tokens):10}{values[0]:12.4f}{values[1]:9.4f}{values[2]:12.4f}"
            f"{fmean(kept.tokens):9.3f}{fmean(kept.milliseconds):8.2f}"
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
