"""Evaluates retrieval: nDCG and recall of each stage, latency and ingestion time, on a data set in BEIR format.

The folder has ``corpus.jsonl`` (``_id``, ``title``, ``text``), ``queries.jsonl`` (``_id``, ``text``) and ``qrels.tsv``
(query, document, grade). Rows can name the ``document`` that they are a part of, and their ``position`` in it. They are
then ingested as that document and chunked as in production. A row counts as found by its best chunk.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, Protocol

from bot.config import Settings
from bot.errors import UsageError
from bot.evals import beir
from bot.evals.metrics import means, percentile
from bot.evals.scratch_schema import scratch_schema
from bot.store.database.session import Database
from knowledge.ingest import Ingestor
from knowledge.parsing import plain_text
from knowledge.ports import Embedder
from knowledge.search.ranking import Ranking
from knowledge.search.retriever import Retriever
from knowledge.store.chunk_lookup import chunk_spans
from knowledge.types.documents import Document
from knowledge.types.ingest_reports import IngestReport
from knowledge.types.scope import Scope
from knowledge.types.source_items import NOTHING_KNOWN, Fetched, Known

TENANT = "eval"
STAGES = ("dense", "sparse", "fused", "reranked")


@dataclass(frozen=True, slots=True)
class Row:
    """A judged row: ``text`` is a whole document, or the part of ``document`` at ``position``."""

    title: str
    text: str
    document: str = ""
    position: int = 0


Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class DataSet:
    """Rows of the corpus by id, questions by id, and the grades of rows by question."""

    corpus: Mapping[str, Row]
    queries: Mapping[str, str]
    relevance: Mapping[str, Mapping[str, int]]


class Running(Protocol):
    """The parts of an opened app that are measured. The data set is never stored in the app's own tables."""

    @property
    def settings(self) -> Settings: ...

    @property
    def database(self) -> Database: ...

    @property
    def embedder(self) -> Embedder: ...

    @property
    def retriever(self) -> Retriever: ...


async def evaluate(data: Path, app: Running) -> dict[str, Any]:
    """Ingest the corpus into a scratch schema, search for every judged question, and score each stage.

    Raises UsageError if the folder is not such a data set, ConfigError if the database cannot be used.
    """
    dataset = read(data)
    async with scratch_schema(app.database.session_url) as database:
        report = await ingest(dataset, database, app.embedder, app.settings.chunk_tokens)
        retriever = app.retriever.on(database.tenant)
        scope = Scope(TENANT)
        async with database.tenant(TENANT) as session:
            names = judged(dataset.corpus, await chunk_spans(session, scope))
        asked = [query for query in dataset.queries if dataset.relevance.get(query)]
        rankings = [await retriever.rank(dataset.queries[query], scope) for query in asked]
    runs = zip(asked, rankings, strict=True)
    found = [(dataset.relevance[query], _by_stage(ranking, names)) for query, ranking in runs]
    totals = [ranking.timings_ms["total"] for ranking in rankings]
    return {
        "queries": len(asked),
        "stages": {stage: means((stages[stage], grades) for grades, stages in found) for stage in STAGES},
        "latency_ms": {"p50": percentile(totals, 0.5), "p95": percentile(totals, 0.95)},
        "ingest": {"documents": report.documents, "chunks": report.chunks, "seconds": round(report.seconds, 2)},
    }


def table(document: Mapping[str, Any]) -> tuple[tuple[str, ...], list[tuple[str | float, ...]]]:
    """Return the metrics of each stage as a table."""
    metrics = ("ndcg@10", "recall@5", "recall@10", "recall@20")
    rows: list[tuple[str | float, ...]] = [
        (stage, *(float(document["stages"][stage][metric]) for metric in metrics)) for stage in STAGES
    ]
    return ("stage", *metrics), rows


def read(data: Path) -> DataSet:
    """Return the data set of a folder. Raises UsageError."""
    try:
        corpus = {str(row["_id"]): _row(row) for row in beir.rows(data, "corpus.jsonl")}
        queries = {str(row["_id"]): _question(row) for row in beir.rows(data, "queries.jsonl")}
    except (KeyError, ValueError) as error:
        raise UsageError(f"{data} is not a data set in BEIR format ({type(error).__name__}: {error}).") from None
    return DataSet(corpus, queries, beir.relevance(data))


def _row(row: Mapping[str, Any]) -> Row:
    text = plain_text.decode(str(row["text"]).encode())
    piece = (str(row["document"]), int(row["position"])) if row.get("document") and "position" in row else ("", 0)
    return Row(str(row.get("title") or ""), text, *piece)


def documents(corpus: Mapping[str, Row]) -> dict[str, dict[str, Span]]:
    """Return the documents by name, each with its rows in order and the span of each row."""
    pieces: dict[str, list[str]] = defaultdict(list)
    for name, row in corpus.items():
        pieces[row.document or name].append(name)
    result = {}
    for document, names in pieces.items():
        names.sort(key=lambda name: corpus[name].position)
        ends = list(accumulate(len(corpus[name].text) for name in names))
        result[document] = dict(zip(names, zip([0, *ends], ends, strict=False), strict=True))
    return result


def judged(corpus: Mapping[str, Row], places: Mapping[int, tuple[str, int, int]]) -> dict[int, list[str]]:
    """Return the rows that each chunk finds, longest overlap first.

    A chunk finds a row if their overlap is at least half of the shorter one. If there is no such row, it finds the one
    with the longest overlap.
    """
    spans = documents(corpus)
    result = {}
    for number, (document, start, end) in places.items():
        shared = {name: min(end, last) - max(start, first) for name, (first, last) in spans[document].items()}
        length = {name: min(end - start, last - first) for name, (first, last) in spans[document].items()}
        best = sorted((name for name in shared if shared[name] > 0), key=lambda name: -shared[name])
        result[number] = [name for name in best if 2 * shared[name] >= length[name]] or best[:1]
    return result


def _question(row: Mapping[str, Any]) -> str:
    """Return the text of a question. Data sets of follow-ups have the standalone question instead of ``text``."""
    return str(row.get("text") or row.get("standalone") or row["last_turn"])


class _Corpus:
    """A source with the documents of a data set."""

    kind = "data"
    uri = "corpus"

    def __init__(self, corpus: Mapping[str, Row]) -> None:
        self._corpus = corpus
        self._documents = documents(corpus)

    def count(self) -> int | None:
        return len(self._documents)

    async def fetch(self, known: Known = NOTHING_KNOWN) -> AsyncIterator[Fetched]:
        for document, names in self._documents.items():
            rows = [self._corpus[name] for name in names]
            yield Fetched(document, "".join(row.text for row in rows).encode(), rows[0].title)


class _PlainTextParser:
    """Parses every document as plain text, even if it looks like another format."""

    async def parse(self, fetched: Fetched, *, include_hidden: bool = False) -> Document:
        parsed = plain_text.parse(plain_text.decode(fetched.data))
        return Document(fetched.uri, fetched.title, parsed.text, parsed.blocks)

    async def aclose(self) -> None:
        return None


async def ingest(dataset: DataSet, database: Database, embedder: Embedder, chunk_tokens: int) -> IngestReport:
    """Ingest the corpus as plain text, otherwise as in production. Raises EmbeddingError."""
    ingestor = Ingestor(database.tenant, embedder, chunk_tokens=chunk_tokens, parser=_PlainTextParser())
    return await ingestor.ingest([_Corpus(dataset.corpus)], tenant_id=TENANT)


def _by_stage(ranking: Ranking, names: Mapping[int, Sequence[str]]) -> dict[str, list[str]]:
    stages: dict[str, Sequence[tuple[int, float]]] = {
        "dense": ranking.dense,
        "sparse": ranking.sparse,
        "fused": ranking.fused,
        "reranked": ranking.reranked,
    }
    return {
        stage: list(dict.fromkeys(name for number, _ in pairs for name in names[number]))
        for stage, pairs in stages.items()
    }
