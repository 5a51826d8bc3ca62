"""Builds questions with passages that contain the answer and passages that do not, from conversations and BEIR
folders."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from benchmarks.bm25_ranking import Ranker
from bot.evals import jsonl
from bot.evals.beir import relevance, rows
from knowledge.chunking import chunk
from knowledge.embedders.local import SentenceTransformerEmbedder
from knowledge.parsing import plain_text
from knowledge.search.followup_queries import with_carried_words
from knowledge.types.documents import Document

PASSAGES = 5
MOST_QUESTIONS = 80
"""Questions used of a folder, evenly from its beginning to its end."""
ANSWERABLE = {"ANSWERABLE": True, "UNANSWERABLE": False}


@dataclass(frozen=True)
class EvidenceCase:
    """A case of a set. Cases of one ``group`` share a question or a conversation."""

    set: str
    group: str
    question: str
    passages: tuple[str, ...]
    answerable: bool


@dataclass(frozen=True)
class DocumentChunk:
    """A chunk with the document and the larger document that it belongs to."""

    text: str
    document: str
    parent: str


class ChunkIndex:
    """Chunks with a BM25 index."""

    def __init__(self, pieces: Sequence[DocumentChunk]) -> None:
        self.pieces = pieces
        self._ranker = Ranker(pieces, [piece.text for piece in pieces])

    def best(self, question: str, without: Collection[str] = ()) -> list[DocumentChunk]:
        """Return the best passages that belong to none of the documents in ``without``."""
        return list(islice((one for one in self._ranker.ranked(question) if one.parent not in without), PASSAGES))


def turns(path: Path) -> list[EvidenceCase]:
    """Return the last questions of conversations, with passages of their collection. Raises UsageError."""
    conversations = jsonl.read(path, lambda row, _: row, of="conversations")
    pools: dict[str, dict[str, str]] = defaultdict(dict)
    for row in conversations:
        for one in row["passages"]:
            pools[row["collection"]][one["document_id"]] = one["text"]
    found = {
        name: ChunkIndex([DocumentChunk(text, key, key) for key, text in texts.items()])
        for name, texts in pools.items()
    }
    return [_turn(row, found[row["collection"]]) for row in conversations if row["answerability"] in ANSWERABLE]


def _turn(row: Mapping[str, Any], pool: ChunkIndex) -> EvidenceCase:
    *past, last = row["conversation"]
    question = with_carried_words(last["text"], [one["text"] for one in past if one["speaker"] == "user"])
    answers = {one["document_id"] for one in row["passages"]}
    found = pool.best(question)
    if answers and not any(piece.document in answers for piece in found):
        found[-1] = next(piece for piece in pool.pieces if piece.document in answers)
    texts = tuple(piece.text for piece in found)
    return EvidenceCase("turns", str(row["_id"]).split("<")[0], question, texts, ANSWERABLE[row["answerability"]])


def beir(folder: Path) -> list[EvidenceCase]:
    """Return two cases for each question: with its answers, if they are found, and without them. Raises UsageError."""
    embedder = SentenceTransformerEmbedder()
    pieces = [piece for row in rows(folder, "corpus.jsonl") for piece in _pieces(row, embedder)]
    pool = ChunkIndex(pieces)
    parents = {piece.document: piece.parent for piece in pieces}
    answers = {query: parents.keys() & found.keys() for query, found in relevance(folder).items()}
    asked = [row for row in rows(folder, "queries.jsonl") if answers.get(str(row["_id"]))]
    asked = asked[:: max(1, -(-len(asked) // MOST_QUESTIONS))]
    return [case for row in asked for case in _both(folder.name, row, pool, answers[str(row["_id"])], parents)]


def _both(
    name: str, row: Mapping[str, Any], pool: ChunkIndex, answers: Collection[str], parents: Mapping[str, str]
) -> list[EvidenceCase]:
    question = str(row.get("text") or row.get("standalone"))
    group = str(row["_id"]).split("<")[0]
    with_them = pool.best(question)
    without = pool.best(question, {parents[one] for one in answers})
    cases = [EvidenceCase(name, group, question, tuple(piece.text for piece in without), False)]
    if any(piece.document in answers for piece in with_them):
        cases.append(EvidenceCase(name, group, question, tuple(piece.text for piece in with_them), True))
    return cases


def _pieces(row: Mapping[str, Any], embedder: SentenceTransformerEmbedder) -> list[DocumentChunk]:
    """Split a document of the corpus into chunks; a document that is a chunk names its larger document."""
    name, title, text = str(row["_id"]), str(row.get("title") or ""), str(row["text"])
    parent = str(row.get("document") or title or name)
    parsed = plain_text.parse(plain_text.decode(text.encode()))
    chunks = chunk(Document(name, title, parsed.text, parsed.blocks), count=embedder.count_tokens)
    return [DocumentChunk(one.text, name, parent) for one in chunks]
