"""Tests that a question encoded for the router is not encoded again for the search."""

from __future__ import annotations

from collections.abc import Sequence

from knowledge.ingest import Ingestor
from knowledge.ports import Encoded, EncodeKind, Sessions
from knowledge.search.question_encoding import MAX_ENCODED_AHEAD
from knowledge.search.retriever import Retriever
from knowledge.types.scope import Scope
from tests.knowledge.fakes import ListSource, WordEmbedder, markdown


class Counting(WordEmbedder):
    """Records the questions that it encoded."""

    def __init__(self) -> None:
        super().__init__()
        self.questions: list[str] = []

    async def encode(self, texts: Sequence[str], kind: EncodeKind) -> Encoded:
        if kind == "query":
            self.questions += texts
        return await super().encode(texts, kind)


async def test_search_uses_a_vector_encoded_ahead_once(ingestor: Ingestor, sessions: Sessions) -> None:
    await ingestor.ingest([ListSource("list", markdown("a.md", "Dogs are welcome."))], tenant_id="t")
    embedder = Counting()
    retriever = Retriever(sessions, embedder)
    vector = await retriever.encode_ahead("Which dogs?")
    found = await retriever("Which dogs?", Scope("t"))
    assert embedder.questions == ["Which dogs?"]
    assert (found.embedding_tokens, len(found.passages)) == (3, 1)
    await retriever("Which dogs?", Scope("t"))
    assert embedder.questions == ["Which dogs?", "Which dogs?"]
    assert vector == (await embedder.encode(["Which dogs?"], "query")).vectors[0].tolist()


async def test_oldest_vectors_encoded_ahead_are_dropped(sessions: Sessions) -> None:
    embedder = Counting()
    retriever = Retriever(sessions, embedder)
    for n in range(MAX_ENCODED_AHEAD + 1):
        await retriever.encode_ahead(f"question {n}")
    embedder.questions.clear()
    await retriever("question 0", Scope("t"))
    await retriever("question 1", Scope("t"))
    assert embedder.questions == ["question 0"]
