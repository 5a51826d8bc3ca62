"""Tests how passages are split into sentences, and how sentence vectors are computed, stored and compared."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from knowledge.embedders import SentenceTransformerEmbedder
from knowledge.embedders.token_vectors import Sentences, TokenVectors, sentence_cosines, sentence_vectors
from knowledge.ingest import Ingestor
from knowledge.ingest import reembed as reembedding
from knowledge.ingest.reembed import needs_reembedding, reembed
from knowledge.parsing.isolation.sandbox import Parser
from knowledge.ports import EncodeKind, Sessions
from knowledge.search import vector_search
from knowledge.search.fusion import NO_SPREAD
from knowledge.search.passage_merging import with_sentences
from knowledge.search.question_similarity import read_similarities
from knowledge.search.ranking import Ranker
from knowledge.search.retriever import Retriever
from knowledge.store.embedding_models import Models
from knowledge.text.sentence_splitter import LEAST_CHARS, MOST_CHARS, sentence_windows
from knowledge.types.scope import Scope
from knowledge.types.search_results import Passage
from tests.knowledge.fakes import ListSource, WordEmbedder, markdown

TEXTS = st.text(alphabet=st.sampled_from("ab .\n!?。-é"), max_size=900)


class SentenceEmbedder(WordEmbedder):
    """Returns the vectors of a passage's sentences, and no token vectors."""

    async def encode_tokens(self, texts: list[str], kind: EncodeKind) -> list[TokenVectors]:
        encoded = await self.encode(texts, kind)
        none = np.zeros((0, self.dimensions), np.float32)
        signs = np.zeros((0, self.dimensions // 8), np.uint8)
        return [
            TokenVectors(vector, none, signs, await self._sentences(whole) if kind == "passage" else None)
            for vector, whole in zip(encoded.vectors, texts, strict=True)
        ]

    async def _sentences(self, whole: str) -> Sentences:
        parts = [whole[start:end] for start, end in sentence_windows(whole)]
        vectors = (await self.encode(parts, "query")).vectors
        rounded: Sentences = np.rint(vectors * (127 / vectors.max(axis=1, keepdims=True))).astype(np.int8)
        return rounded


@given(TEXTS)
def test_windows_cover_all_text_in_order(body: str) -> None:
    windows = sentence_windows(body)
    assert windows == sorted(windows)
    assert all(end <= following for (_, end), (following, _) in pairwise(windows))
    covered = "".join(body[start:end] for start, end in windows)
    assert "".join(covered.split()) == "".join(body.split())
    assert all(0 < end - start <= MOST_CHARS for start, end in windows)


def test_short_lines_are_joined_and_long_sentences_split() -> None:
    assert len(sentence_windows("Yes.\nNo.\nPerhaps so, who knows, nobody can tell that.")) == 1
    two = "A first sentence that is long enough to stand alone. " + "And a second that is as long as the first was."
    assert [two[start:end][:6] for start, end in sentence_windows(two)] == ["A firs", "And a "]
    assert len(sentence_windows("word " * 200)) == 3
    assert min(end - start for start, end in sentence_windows(two + " Short.")) >= LEAST_CHARS


def test_sentence_vector_is_the_mean_of_its_tokens() -> None:
    tokens = np.array([[1, 0], [3, 0], [0, 2], [0, 4]], np.float32)
    offsets = np.array([[0, 3], [4, 8], [10, 12], [13, 15]])
    made = sentence_vectors(tokens, offsets, [(2, 9), (10, 15)])
    assert made is not None
    assert made.tolist() == [[127, 0], [0, 127]]
    assert sentence_vectors(tokens[:0], offsets[:0], [(0, 9)]) is None


def test_window_without_tokens_has_no_vector() -> None:
    made = sentence_vectors(np.ones((1, 2), np.float32), np.array([[0, 3]]), [(0, 9), (10, 15)])
    assert made is not None
    assert len(made) == 1


@given(st.integers(0, 2**32 - 1), st.lists(st.integers(1, 5), min_size=1, max_size=6))
def test_each_sentence_has_its_cosine(seed: int, lengths: list[int]) -> None:
    random_ = np.random.default_rng(seed)
    passages = [random_.integers(-127, 128, size=(length, 8)).astype(np.int8) for length in lengths]
    query = random_.normal(size=8).astype(np.float32)
    query /= np.linalg.norm(query)
    for found, rows in zip(sentence_cosines(query, passages), passages, strict=True):
        exact = [float(row @ query / (np.linalg.norm(row) or 1)) for row in rows.astype(np.float32)]
        assert found == pytest.approx(exact, abs=1e-5)


async def test_passage_is_found_by_its_best_sentence(sessions: Sessions, parser: Parser) -> None:
    noise = " ".join(f"Here filler{n} speaks of matter{n} and nothing{n} besides." for n in range(8))
    answer = "The zebra lives in the savanna of the far south."
    pages = [markdown("long.md", f"{noise} {answer}"), markdown("other.md", f"{noise} The zebra of matter7 is far.")]
    embedder = SentenceEmbedder()
    ingestor = Ingestor(sessions, embedder, parser=parser)
    await ingestor.ingest([ListSource("list", *pages)], tenant_id="t")
    vector = (await embedder.encode(["zebra lives in the savanna"], "query")).vectors[0]
    async with sessions("t") as session:
        found = await read_similarities(session, vector, Scope("t"), [0, 1], model="words")
        other = await read_similarities(session, vector, Scope("t", ()), [0, 1], model="words")
    assert other == {}
    assert all(one.cosine < one.score < max(one.sentences) for one in found.values())
    ranking = await Ranker(sessions, embedder).rank("zebra lives in the savanna", Scope("t"), least=5, earlier=())
    assert ranking.final[0].source == "long.md"
    assert ranking.final[0].legs.dense == pytest.approx(ranking.dense[0][1])
    passages = (await Retriever(sessions, embedder)("zebra lives in the savanna", Scope("t"))).passages
    for page, passage in zip(pages, passages, strict=True):
        body = page.data.decode()
        nearest = max(passage.sentences, key=lambda one: one.cosine)
        assert "The zebra" in body[nearest.start : nearest.end]
        assert nearest.cosine > passage.legs.dense > min(one.cosine for one in passage.sentences)  # type: ignore[operator]
        told = "".join(body[one.start : one.end] for one in passage.sentences)
        assert told.replace(" ", "") == passage.text.replace(" ", "")
        assert passage.embedding_model == embedder.model


def test_sentences_split_by_another_rule_are_left_out() -> None:
    text = "The first one stands here and is long enough. The second one stands here and is long enough."
    found = Passage(1, "d", text, "s", "Title", (), 100, 100 + len(text), None, 1.0)
    first, second = with_sentences(found, (0.5, 0.25)).sentences
    assert (first.start, first.cosine, second.end, second.cosine) == (100, 0.5, 100 + len(text), 0.25)
    assert text[second.start - 100 : second.end - 100].startswith("The second")
    assert with_sentences(found, (0.5,)) == with_sentences(found, ()) == found


def test_a_note_at_the_title_moves_no_sentence() -> None:
    text = "The first one stands here and is long enough. The second one stands here and is long enough."
    found = Passage(1, "d", text, "s", "Title", (), 100, 100 + len(text), None, 1.0)
    noted = replace(found, title="Title (gone since 2026-03-01)", note="gone since 2026-03-01")
    assert with_sentences(noted, (0.5, 0.25)).sentences == with_sentences(found, (0.5, 0.25)).sentences != ()


async def test_sentence_vectors_are_optional_and_deleted_with_their_chunk(sessions: Sessions, parser: Parser) -> None:
    embedder = SentenceEmbedder()
    ingestor = Ingestor(sessions, embedder, parser=parser)
    source = ListSource("list", markdown("a.md", "The zebra lives here."), markdown("b.md", "A lion sleeps there."))
    await ingestor.ingest([source], tenant_id="t")
    async with sessions("t") as session:
        assert await session.scalar(text("SELECT count(*) FROM sentence_vectors")) == 2
        await session.execute(text("DELETE FROM sentence_vectors WHERE chunk_id = 0"))
    vector = (await embedder.encode(["zebra"], "query")).vectors[0]
    async with sessions("t") as session:
        found = await read_similarities(session, vector, Scope("t"), [0, 1], model="words")
    assert [len(found[number].sentences) for number in (0, 1)] == [0, 1]
    assert found[0].score == found[0].cosine
    source.items = source.items[:1]
    await ingestor.ingest([source], tenant_id="t")
    async with sessions("t") as session:
        assert await session.scalar(text("SELECT count(*) FROM sentence_vectors")) == 0


async def test_chunks_without_sentence_vectors_get_them(
    sessions: Sessions, parser: Parser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reembedding, "BATCH", 2)
    embedder = SentenceEmbedder()
    models = Models(embedder)
    pages = [markdown(f"{n}.md", f"The zebra number{n} lives here.") for n in range(5)]
    await Ingestor(sessions, embedder, parser=parser).ingest([ListSource("list", *pages)], tenant_id="t")
    assert not await needs_reembedding(sessions, models, "t")
    async with sessions("t") as session:
        before = (await session.execute(text("SELECT * FROM sentence_vectors ORDER BY chunk_id"))).all()
        await session.execute(text("DELETE FROM sentence_vectors WHERE chunk_id <> 2"))
    models = Models(embedder)  # A process that has found all vectors looks no more.
    assert await needs_reembedding(sessions, models, "t")
    assert await reembed(sessions, models, "t") == 4
    async with sessions("t") as session:
        assert (await session.execute(text("SELECT * FROM sentence_vectors ORDER BY chunk_id"))).all() == before
    assert not await needs_reembedding(sessions, models, "t")


async def test_model_without_sentence_vectors_needs_no_reembedding(sessions: Sessions, parser: Parser) -> None:
    embedder = WordEmbedder()
    await Ingestor(sessions, embedder, parser=parser).ingest(
        [ListSource("list", markdown("a.md", "A."))], tenant_id="t"
    )
    assert not await needs_reembedding(sessions, Models(embedder), "t")
    assert await reembed(sessions, Models(embedder), "t") == 0


async def test_cosine_spread_covers_the_whole_tenant(sessions: Sessions, parser: Parser) -> None:
    embedder = WordEmbedder()
    ingestor = Ingestor(sessions, embedder, parser=parser)
    for audience, words in (("tenant", "alpha beta"), ("C1", "alpha gamma delta"), ("C2", "epsilon")):
        await ingestor.ingest(
            [ListSource(f"list {audience}", markdown("a.md", words))], tenant_id="t", audience=audience
        )
    vector = (await embedder.encode(["alpha"], "query")).vectors[0]
    async with sessions("t") as session:
        spread = await vector_search.cosine_spread(session, vector, Scope("t"), model="words")
        assert await vector_search.cosine_spread(session, vector, Scope("t"), model="another") == NO_SPREAD
    cosines = (await embedder.encode(embedder.passages, "query")).vectors @ vector
    assert len(cosines) == 3
    assert spread.sampled == 3
    assert (spread.mean, spread.deviation) == pytest.approx((np.mean(cosines), np.std(cosines)), abs=1e-3)


async def test_sentence_vectors_come_from_the_same_pass() -> None:
    model = SentenceTransformerEmbedder()
    sentences = ["The zebra lives in the savanna of the far south.", "Invoices are paid within thirty days of receipt."]
    [whole] = await model.encode_tokens([" ".join(sentences)], "passage")
    [asked] = await model.encode_tokens([sentences[0]], "query")
    alone = (await model.encode(sentences, "passage")).vectors
    await model.aclose()
    assert whole.sentences is not None
    assert whole.sentences.shape == (2, 384)
    assert asked.sentences is None
    nearest = [sentence_cosines(vector, [whole.sentences])[0] for vector in alone]
    assert nearest[0][0] > nearest[0][1] + 0.2
    assert nearest[1][1] > nearest[1][0] + 0.2
