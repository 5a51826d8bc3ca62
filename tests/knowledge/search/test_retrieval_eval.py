"""Tests retrieval evaluation: correct metrics for known rankings, and no data left in the database."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from bot.config import Settings
from bot.errors import UsageError
from bot.evals.metrics import ndcg, percentile, recall
from bot.evals.retrieval import STAGES, Row, documents, evaluate, judged, table
from bot.store.database.session import Database
from knowledge.ports import Embedder
from knowledge.search.retriever import Retriever
from tests.knowledge.fakes import WordEmbedder
from tests.superuser_access import as_superuser


@dataclass
class App:
    settings: Settings
    database: Database
    embedder: Embedder
    retriever: Retriever


def dataset(folder: Path) -> Path:
    corpus = [{"_id": f"d{n}", "title": "", "text": f"The animal{n} lives in country{n % 3}."} for n in range(12)]
    queries = [{"_id": f"q{n}", "text": f"Where does animal{n} live?"} for n in range(5)]
    (folder / "corpus.jsonl").write_text("\n".join(map(json.dumps, corpus)))
    (folder / "queries.jsonl").write_text("\n".join(map(json.dumps, queries)))
    rows = "".join(f"q{n}\td{n}\t1\n" for n in range(4))
    (folder / "qrels.tsv").write_text(f"query-id\tcorpus-id\tscore\n{rows}")
    return folder


async def test_data_set_is_measured_and_deleted_afterwards(
    tmp_path: Path, database: Database, database_url: str
) -> None:
    embedder = WordEmbedder()
    app = App(Settings(), database, embedder, Retriever(database.tenant, embedder))
    document = await evaluate(dataset(tmp_path), app)
    assert document.keys() == {"queries", "stages", "latency_ms", "ingest"}
    assert document["queries"] == 4
    assert document["ingest"]["documents"] == document["ingest"]["chunks"] == 12
    assert tuple(document["stages"]) == STAGES
    assert document["stages"]["sparse"] == {"ndcg@10": 1.0, "recall@5": 1.0, "recall@10": 1.0, "recall@20": 1.0}
    assert document["latency_ms"]["p95"] >= document["latency_ms"]["p50"] > 0
    assert len(table(document)[1]) == 4
    with psycopg.connect(as_superuser(database_url)) as connection:
        left = connection.execute(
            "SELECT (SELECT count(*) FROM documents), "
            "(SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'parley_eval%')"
        ).fetchone()
    assert left == (0, 0)


async def test_pieces_of_a_document_are_ingested_together_and_judged_separately(
    tmp_path: Path, database: Database
) -> None:
    """Ingest two documents of six pieces each, unordered in the file; results are judged by piece."""
    long = " ".join(["filler"] * 120)
    corpus = [
        {"_id": f"d{n}", "text": f"The animal{n} of country{n % 3} has {long}.\n", "document": n % 2, "position": n}
        for n in reversed(range(12))
    ]
    for row in corpus:
        row["document"] = f"file {row['document']}"
    folder = dataset(tmp_path)
    (folder / "corpus.jsonl").write_text("\n".join(map(json.dumps, corpus)))
    embedder = WordEmbedder()
    app = App(Settings(), database, embedder, Retriever(database.tenant, embedder))
    document = await evaluate(folder, app)
    assert document["ingest"]["documents"] == 2
    assert document["stages"]["sparse"]["recall@5"] == 1.0


def test_chunk_counts_for_the_piece_that_it_overlaps_most() -> None:
    corpus = {name: Row("", "x" * 100, "file", place) for place, name in enumerate("abc")} | {"d": Row("", "x" * 50)}
    assert documents(corpus)["file"] == {"a": (0, 100), "b": (100, 200), "c": (200, 300)}
    places = {1: ("file", 0, 100), 2: ("file", 10, 190), 3: ("file", 180, 260), 4: ("file", 190, 215), 5: ("d", 0, 9)}
    assert judged(corpus, places) == {1: ["a"], 2: ["a", "b"], 3: ["c"], 4: ["c"], 5: ["d"]}


def test_metrics_of_known_rankings() -> None:
    assert ndcg(["a", "b"], {"a": 1}) == 1.0
    assert ndcg(["b", "a"], {"a": 1}) == pytest.approx(0.6309, abs=1e-4)
    assert ndcg(["b"], {"a": 1}) == 0.0
    assert recall(["a", "x", "b"], {"a": 1, "b": 1}, 2) == 0.5
    assert percentile([4, 1, 3, 2], 0.5) == 2
    assert percentile([], 0.95) == 0.0


async def test_folder_that_is_no_data_set_is_refused(tmp_path: Path, database: Database) -> None:
    embedder = WordEmbedder()
    app = App(Settings(), database, embedder, Retriever(database.tenant, embedder))
    with pytest.raises(UsageError, match=r"corpus\.jsonl"):
        await evaluate(tmp_path, app)
