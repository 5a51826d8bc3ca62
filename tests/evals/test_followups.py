"""The evaluation of follow-up questions, on a small corpus with known results."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from bot.config import Settings
from bot.errors import UsageError
from bot.evals.followups import WAYS, by_model, evaluate, read, table
from bot.llm.quoting.extractive import ExtractiveLLM
from bot.llm.tokens import TokenCounter
from bot.store.database.session import Database
from knowledge.ports import Embedder
from knowledge.search.retriever import Retriever
from tests.knowledge.fakes import WordEmbedder


@dataclass
class App:
    settings: Settings
    database: Database
    embedder: Embedder
    retriever: Retriever


def dataset(folder: Path) -> Path:
    corpus = [{"_id": f"d{n}", "title": "", "text": f"The animal{n} eats food{n} every day."} for n in range(30)]
    queries = [
        {
            "_id": f"q{n}",
            "last_turn": "What does it eat every day?",
            "user_turns": [f"Tell me of animal{n}.", "What does it eat every day?"],
            "standalone": f"What does animal{n} eat every day?",
        }
        for n in (21, 22, 23)
    ]
    (folder / "corpus.jsonl").write_text("\n".join(map(json.dumps, corpus)))
    (folder / "queries.jsonl").write_text("\n".join(map(json.dumps, queries)))
    (folder / "qrels.tsv").write_text(
        "query-id\tcorpus-id\tscore\n" + "".join(f"q{n}\td{n}\t1\n" for n in (21, 22, 23))
    )
    return folder


async def test_the_thread_finds_what_the_last_turn_leaves_out(tmp_path: Path, database: Database) -> None:
    embedder = WordEmbedder()
    app = App(Settings(_env_file=None), database, embedder, Retriever(database.tenant, embedder))
    asked: list[tuple[str, tuple[str, ...]]] = []

    async def rewrites(question: str, earlier: Sequence[str]) -> str | None:
        asked.append((question, tuple(earlier)))
        return None

    document = await evaluate(dataset(tmp_path), app, rewrites=rewrites)
    assert tuple(document) == WAYS
    assert document["last_turn"]["recall@5"] == 0.0
    assert document["rewritten"]["ndcg@10"] == document["standalone"]["ndcg@10"] == 1.0
    assert document["rewritten"].keys() == {"ndcg@10", "recall@5", "recall@10", "recall@20"}
    assert asked[0] == ("What does it eat every day?", ("Tell me of animal21.",))
    assert len(table(document)[1]) == 3


def test_a_set_without_turns_and_a_model_that_is_not_there_are_refused(tmp_path: Path) -> None:
    (tmp_path / "queries.jsonl").write_text('{"_id": "q", "text": "What?"}')
    with pytest.raises(UsageError, match="last_turn"):
        read(tmp_path)
    with pytest.raises(UsageError, match="cannot be read"):
        read(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="ANTHROPIC_API_KEY"):
        by_model(ExtractiveLLM(TokenCounter()))
