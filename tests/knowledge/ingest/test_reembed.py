"""Tests the change of the embedding model on a real Postgres: the old model serves until all new vectors are there."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from sqlalchemy import text

from knowledge.errors import EmbeddingError
from knowledge.ingest import Ingestor
from knowledge.ingest import reembed as reembedding
from knowledge.ingest.reembed import needs_reembedding, read_progress, reembed
from knowledge.parsing.isolation.sandbox import Parser
from knowledge.ports import Embedder, Encoded, EncodeKind, Sessions
from knowledge.search.ranking import Ranking
from knowledge.search.retriever import Retriever
from knowledge.store import serving_model
from knowledge.store.embedding_models import RETRY_AFTER, Models
from knowledge.store.serving_model import Serving, choose_models
from knowledge.types.scope import Scope
from knowledge.types.search_results import Passage
from tests.knowledge.fakes import ListSource, WordEmbedder, markdown

GUIDE = "# Guide\n\n" + "\n\n".join(
    f"## Part {n}\n\n" + " ".join(f"This is sentence number{n} of many words about subject{n}." for _ in range(6))
    for n in range(7)
)


class Stopping(WordEmbedder):
    """Raises EmbeddingError after a number of passages."""

    def __init__(self, model: str, dimensions: int, most: int) -> None:
        super().__init__(model, dimensions)
        self.most = most

    async def encode(self, texts: Sequence[str], kind: EncodeKind) -> Encoded:
        if len(self.passages) >= self.most:
            raise EmbeddingError("stopped")
        return await super().encode(texts, kind)


def opened(*embedders: Embedder) -> Models:
    """Return models of which the first is configured and the others can be opened."""
    by_name = {embedder.model: embedder for embedder in embedders}

    def open_other(model: str) -> Embedder:
        if model not in by_name:
            raise EmbeddingError(f"There is no model {model}.")
        return by_name[model]

    return Models(embedders[0], open_other)


async def vectors(sessions: Sessions) -> dict[str, int]:
    async with sessions("t") as session:
        rows = await session.execute(
            text("SELECT model, count(*) FROM embeddings WHERE tenant_id = 't' GROUP BY model ORDER BY model")
        )
        return {str(model): int(number) for model, number in rows}


async def state(sessions: Sessions) -> Serving:
    async with sessions("t") as session:
        return await serving_model.read(session, "t")


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reembedding, "BATCH", 2)


@pytest.mark.usefixtures("small_batches")
async def test_interrupted_reembedding_continues_without_sources(ingestor: Ingestor, sessions: Sessions) -> None:
    await ingestor.ingest([ListSource("list", markdown("guide.md", GUIDE))], tenant_id="t")
    chunks = (await vectors(sessions))["words"]
    with pytest.raises(EmbeddingError):
        await reembed(sessions, opened(Stopping("other", 64, 4)), "t")
    assert await vectors(sessions) == {"other": 4, "words": chunks}
    assert await state(sessions) == Serving("words", "other")
    async with sessions("t") as session:
        at = await read_progress(session, "t")
    assert str(at) == f"re-embedding 4 of {chunks} with other; words serves until then"
    again = WordEmbedder("other", 64)
    told: list[int] = []
    assert await reembed(sessions, opened(again), "t", on_chunks=told.append) == len(again.passages) == chunks - 4
    assert told == sorted(told)
    assert told[-1] == chunks - 4
    assert await vectors(sessions) == {"other": chunks}
    assert await state(sessions) == Serving("other")
    async with sessions("t") as session:
        assert await read_progress(session, "t") is None


async def test_documents_added_meanwhile_get_vectors_of_both_models(
    ingestor: Ingestor, sessions: Sessions, embedder: WordEmbedder, parser: Parser
) -> None:
    await ingestor.ingest([ListSource("list", markdown("guide.md", GUIDE))], tenant_id="t")
    chunks = (await vectors(sessions))["words"]
    other = WordEmbedder("other", 64)
    models = opened(other, embedder)
    later = Ingestor(sessions, other, parser=parser, chunk_tokens=64, models=models)
    await later.ingest([ListSource("news", markdown("news.md", "Fresh words."))], tenant_id="t")
    assert await vectors(sessions) == {"other": 1, "words": chunks + 1}
    assert await state(sessions) == Serving("words", "other")
    assert await needs_reembedding(sessions, models, "t")
    await reembed(sessions, models, "t")
    assert await vectors(sessions) == {"other": chunks + 1}
    assert not await needs_reembedding(sessions, models, "t")


async def test_document_ingested_during_a_switch_gets_the_new_vectors(
    ingestor: Ingestor, sessions: Sessions, embedder: WordEmbedder, parser: Parser
) -> None:
    await ingestor.ingest([ListSource("list", markdown("a.md", "Alpha words."))], tenant_id="t")
    other = WordEmbedder("other", 64)

    class Overtaken(WordEmbedder):
        async def encode(self, texts: Sequence[str], kind: EncodeKind) -> Encoded:
            if kind == "passage" and not self.passages:
                await reembed(sessions, opened(other, embedder), "t")
            return await super().encode(texts, kind)

    slow = Overtaken()
    behindhand = Ingestor(sessions, slow, parser=parser, models=opened(slow, other))
    await behindhand.ingest([ListSource("news", markdown("b.md", "Beta words."))], tenant_id="t")
    assert await state(sessions) == Serving("other")
    assert (await vectors(sessions))["other"] == 2


@pytest.mark.usefixtures("small_batches")
async def test_reverting_the_model_midway_keeps_it_serving(
    ingestor: Ingestor, sessions: Sessions, embedder: WordEmbedder
) -> None:
    await ingestor.ingest([ListSource("list", markdown("guide.md", GUIDE))], tenant_id="t")
    before = await vectors(sessions)
    with pytest.raises(EmbeddingError):
        await reembed(sessions, opened(Stopping("other", 64, 2)), "t")
    models = opened(embedder)
    assert await needs_reembedding(sessions, models, "t")
    assert await reembed(sessions, models, "t") == 0
    assert await state(sessions) == Serving("words")
    assert await vectors(sessions) == before


async def test_process_with_the_old_model_does_not_revert_the_change(
    ingestor: Ingestor, sessions: Sessions, embedder: WordEmbedder
) -> None:
    await ingestor.ingest([ListSource("list", markdown("a.md", "Alpha words."))], tenant_id="t")
    old = opened(embedder)
    assert not await needs_reembedding(sessions, old, "t")
    await reembed(sessions, opened(WordEmbedder("other", 64)), "t")
    assert not await needs_reembedding(sessions, old, "t")
    assert await reembed(sessions, old, "t") == 0
    assert await vectors(sessions) == {"other": 1}


async def test_unavailable_old_model_leaves_the_configured_one_for_passages(
    ingestor: Ingestor, sessions: Sessions, parser: Parser, caplog: pytest.LogCaptureFixture
) -> None:
    await ingestor.ingest([ListSource("list", markdown("a.md", "Alpha words."))], tenant_id="t")
    other = WordEmbedder("other", 64)
    later = Ingestor(sessions, other, parser=parser, models=opened(other))
    await later.ingest([ListSource("news", markdown("b.md", "Beta words."))], tenant_id="t")
    assert await vectors(sessions) == {"other": 1, "words": 1}
    assert (
        "the stored vectors were made by the embedding model words, which cannot be used (There is no model words.)"
        in caplog.text
    )


async def test_failed_model_is_retried_only_after_a_while() -> None:
    tried: list[str] = []
    times = iter((0.0, RETRY_AFTER - 1, RETRY_AFTER + 1, RETRY_AFTER + 1))

    def open_other(model: str) -> Embedder:
        tried.append(model)
        raise EmbeddingError("gone")

    models = Models(WordEmbedder(), open_other, clock=lambda: next(times))
    for attempts in (1, 1, 2):
        assert await models.for_questions(Serving("other", "words")) is models.current
        assert len(tried) == attempts


async def test_model_that_was_given_up_is_opened_once_and_closed() -> None:
    opened_models: list[WordEmbedder] = []
    closed: list[str] = []
    now = 0.0

    class Closing(WordEmbedder):
        async def aclose(self) -> None:
            closed.append(self.model)

    def open_other(model: str) -> Embedder:
        opened_models.append(Closing(model))
        return opened_models[-1]

    models = Models(WordEmbedder(), open_other, clock=lambda: now)
    serving = Serving("other", "words")
    assert await models.for_questions(serving) is opened_models[0]
    models.give_up("other", EmbeddingError("gone"))
    assert await models.for_questions(serving) is models.current
    now = RETRY_AFTER + 1
    assert await models.for_questions(serving) is opened_models[0]
    models.give_up("other", EmbeddingError("gone"))
    await models.aclose()
    assert (len(opened_models), closed) == (1, ["other"])


async def test_serving_model_reranks_as_many_passages_as_the_configured_one(
    ingestor: Ingestor, sessions: Sessions, embedder: WordEmbedder
) -> None:
    class Recording:
        name = "recording"
        scored: list[int]

        async def score(self, query: str, passages: Sequence[Passage]) -> list[float]:
            self.scored = [passage.chunk_id for passage in passages]
            return [0.0] * len(passages)

        async def aclose(self) -> None:
            return None

    await ingestor.ingest([ListSource("list", markdown("guide.md", GUIDE))], tenant_id="t")
    models = opened(WordEmbedder("other", 64), embedder)
    await models.announce(sessions, "t")
    reranker = Recording()
    ranking = await found(Retriever(sessions, models.current, reranker, reranked=2, models=models))
    assert (ranking.model, len(reranker.scored)) == ("words", 2)


async def test_vectors_from_before_models_were_recorded_keep_serving(
    ingestor: Ingestor, sessions: Sessions, embedder: WordEmbedder
) -> None:
    await ingestor.ingest([ListSource("list", markdown("a.md", "Alpha words."))], tenant_id="t")
    async with sessions("t") as session:
        await session.execute(text("UPDATE knowledge_state SET model = NULL"))
    other = opened(WordEmbedder("other", 64), embedder)
    assert await other.announce(sessions, "t") == Serving("words", "other")


def test_choice_of_the_serving_model() -> None:
    assert choose_models(Serving(), "a", None) == Serving("a")
    assert choose_models(Serving(), "a", "b") == Serving("b", "a")
    assert choose_models(Serving("b"), "a", None) == Serving("b", "a")
    assert choose_models(Serving("b", "c"), "a", None) == Serving("b", "a")
    assert choose_models(Serving("a", "c"), "a", None) == Serving("a")
    assert Serving().models("a") == ("a",)
    assert Serving("b", "a").models("a") == ("b", "a")


async def found(retriever: Retriever, question: str = "word of subject3") -> Ranking:
    return await retriever.rank(question, Scope("t"))


@pytest.mark.usefixtures("small_batches")
async def test_old_model_serves_until_the_switch(
    ingestor: Ingestor, sessions: Sessions, embedder: WordEmbedder
) -> None:
    await ingestor.ingest([ListSource("list", markdown("guide.md", GUIDE))], tenant_id="t")
    chunks = (await vectors(sessions))["words"]
    other = WordEmbedder("other", 64)
    models = opened(other, embedder)
    retriever = Retriever(sessions, other, models=models)
    running = Retriever(sessions, embedder, models=opened(embedder, other))
    seen: list[str] = []

    async def step(expected: str) -> None:
        for one in (retriever, running):
            ranking = await found(one)
            assert ranking.model == expected
            assert len(ranking.dense) == chunks
            assert "subject3" in ranking.final[0].text
            assert (await one("subject3", Scope("t"))).embedding_model == expected
        seen.append(expected)

    await models.announce(sessions, "t")
    await step("words")
    with pytest.raises(EmbeddingError):
        await reembed(sessions, opened(Stopping("other", 64, 4), embedder), "t")
    await step("words")
    while await reembedding.embed_next_batch(sessions, other, "t"):
        await step("words")
    await reembed(sessions, models, "t")
    await step("other")
    assert len(seen) > 3


async def test_unavailable_old_model_leaves_bm25_and_new_vectors(
    ingestor: Ingestor, sessions: Sessions, parser: Parser
) -> None:
    pages = [markdown(f"{n}.md", f"Page{n} tells of topic{n}.") for n in range(6)]
    await ingestor.ingest([ListSource("list", *pages)], tenant_id="t")
    other = WordEmbedder("other", 64)
    models = opened(other)
    later = Ingestor(sessions, other, parser=parser, models=models)
    await later.ingest([ListSource("news", markdown("news.md", "Fresh news of topic9."))], tenant_id="t")
    retriever = Retriever(sessions, other, models=models)
    fresh = await found(retriever, "topic9")
    assert (fresh.model, len(fresh.dense), fresh.final[0].source) == ("other", 1, "news.md")
    old = await found(retriever, "topic4")
    assert {name.source for name in old.final} >= {"4.md"}
    await reembed(sessions, models, "t")
    assert len((await found(retriever, "topic4")).dense) == 7


async def test_old_model_that_fails_later_is_no_longer_used(
    ingestor: Ingestor, sessions: Sessions, caplog: pytest.LogCaptureFixture
) -> None:
    pages = [markdown("a.md", "Alpha words."), markdown("b.md", "Beta.")]
    await ingestor.ingest([ListSource("list", *pages)], tenant_id="t")

    class Revoked(WordEmbedder):
        async def encode(self, texts: Sequence[str], kind: EncodeKind) -> Encoded:
            raise EmbeddingError("The key was revoked.")

    other = WordEmbedder("other", 64)
    models = opened(other, Revoked())
    await models.announce(sessions, "t")
    ranking = await found(Retriever(sessions, other, models=models), "beta")
    assert ranking.model == "other"
    assert "The key was revoked." in caplog.text
    with pytest.raises(EmbeddingError, match="revoked"):
        await found(Retriever(sessions, Revoked(), models=opened(Revoked())), "beta")
