"""Tests shortened (Matryoshka) vectors of a tiny generated model and of an OpenAI-compatible server on loopback."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from aiohttp import web
from aiohttp.test_utils import TestServer
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer import modules
from sqlalchemy import text
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from knowledge.embedders import OpenAIEmbedder, SentenceTransformerEmbedder, build_embedder, open_stored
from knowledge.embedders.stored_vector_names import split_name, stored_name
from knowledge.errors import EmbeddingError
from knowledge.ingest import Ingestor
from knowledge.ingest.reembed import reembed
from knowledge.parsing.isolation.sandbox import Parser
from knowledge.ports import Sessions
from knowledge.search.retriever import Retriever
from knowledge.search.vector_search import INDEXED_DIMENSIONS
from knowledge.store.embedding_models import Models
from knowledge.types.scope import Scope
from tests.knowledge.fakes import ListSource, markdown

WORDS = "alpha beta gamma delta words of the guide number one two three".split()
PAGES = [markdown(f"{word}.md", f"{word} words of the guide") for word in WORDS[:4]]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the folder of a model with one layer, 32 dimensions and random weights."""
    folder = tmp_path_factory.mktemp("tiny")
    vocabulary = {word: n for n, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    torch.manual_seed(1)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
    )
    BertModel(config).save_pretrained(folder / "bert")
    PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
    ).save_pretrained(folder / "bert")
    transformer = modules.Transformer(str(folder / "bert"), max_seq_length=64)
    SentenceTransformer(modules=[transformer, modules.Pooling(32, "mean")], device="cpu").save(str(folder / "model"))
    return str(folder / "model")


async def test_shortened_vector_is_a_prefix_of_the_full_one(tiny: str) -> None:
    whole, short = SentenceTransformerEmbedder(tiny), SentenceTransformerEmbedder(tiny, dimensions=16)
    assert (whole.dimensions, short.dimensions) == (32, 16)
    assert whole.model == tiny
    assert short.model == f"{tiny} in 16 dimensions"
    a, b = [(await one.encode(["alpha words", "beta"], "passage")).vectors for one in (whole, short)]
    expected = a[:, :16] / np.linalg.norm(a[:, :16], axis=1, keepdims=True)
    assert b == pytest.approx(expected, abs=1e-2)
    assert np.linalg.norm(b, axis=1) == pytest.approx([1, 1], abs=1e-3)
    row = (await short.encode_tokens(["alpha words"], "passage"))[0]
    assert row.signs.shape[1] == 2
    await whole.aclose()
    await short.aclose()


async def test_too_many_dimensions_are_refused(tiny: str) -> None:
    embedder = build_embedder(tiny, dimensions=64)
    with pytest.raises(EmbeddingError, match=r"have 32 dimensions\. Set PARLEY_EMBEDDING_DIMENSIONS to fewer"):
        await embedder.encode(["alpha"], "query")
    await embedder.aclose()


async def test_other_dimensions_count_as_another_model(tiny: str, sessions: Sessions, parser: Parser) -> None:
    whole, short = build_embedder(tiny), build_embedder(tiny, dimensions=16)
    ingestor = Ingestor(sessions, whole, parser=parser, chunk_tokens=32)
    await ingestor.ingest([ListSource("list", *PAGES)], tenant_id="t")
    models = Models(short, open_stored)
    await models.announce(sessions, "t")
    retriever = Retriever(sessions, short, models=models)
    before = await retriever.rank("gamma guide", Scope("t"))
    assert (before.model, len(before.dense)) == (tiny, 4)
    assert await reembed(sessions, models, "t") == 4
    after = await retriever.rank("gamma guide", Scope("t"))
    assert (after.model, len(after.dense)) == (f"{tiny} in 16 dimensions", 4)
    assert after.final[0].source == before.final[0].source == "gamma.md"
    async with sessions("t") as session:
        assert set(await session.scalars(text("SELECT DISTINCT dimensions FROM embeddings"))) == {16}
    await models.aclose()
    await whole.aclose()
    await short.aclose()


async def test_dimensions_are_sent_to_the_server() -> None:
    asked: list[object] = []

    async def answer(request: web.Request) -> web.Response:
        body = await request.json()
        asked.append((body["model"], body.get("dimensions")))
        rows = [{"object": "embedding", "index": n, "embedding": [3.0, 4.0]} for n, _ in enumerate(body["input"])]
        usage = {"prompt_tokens": 1, "total_tokens": 1}
        return web.json_response({"object": "list", "data": rows, "model": body["model"], "usage": usage})

    app = web.Application()
    app.router.add_post("/v1/embeddings", answer)
    async with TestServer(app) as server:
        address = str(server.make_url("/v1"))
        embedder = build_embedder(
            "text-embedding-3-large", dimensions=256, openai_api_key="key", openai_base_url=address
        )
        encoded = await embedder.encode(["a"], "query")
        again = open_stored(embedder.model, openai_api_key="key", openai_base_url=address)
        await again.encode(["a"], "query")
        own = open_stored("openai:mine", openai_base_url=address)
        await own.encode(["a"], "query")
        for one in (embedder, again, own):
            await one.aclose()
    assert encoded.vectors == pytest.approx(np.array([[0.6, 0.8]]))
    assert asked == [("text-embedding-3-large", 256), ("text-embedding-3-large", 256), ("mine", None)]
    assert embedder.model == again.model == "text-embedding-3-large in 256 dimensions"
    assert (own.model, isinstance(own, OpenAIEmbedder)) == ("openai:mine", True)


def test_stored_names_round_trip() -> None:
    for model in ("all-MiniLM-L6-v2", "openai:mine", "/models/in 3 parts"):
        for dimensions in (None, 64, 256):
            assert split_name(stored_name(model, dimensions)) == (model, dimensions)


async def test_common_dimensions_have_an_index(sessions: Sessions) -> None:
    async with sessions("t") as session:
        names = set(
            await session.scalars(text("SELECT indexname FROM pg_indexes WHERE indexname LIKE 'embeddings_hnsw_%'"))
        )
    assert names == {f"embeddings_hnsw_{dimensions}" for dimensions in INDEXED_DIMENSIONS}
