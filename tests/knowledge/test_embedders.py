"""Tests the offline model, batching in one thread, rerankers, and an OpenAI-compatible server on loopback."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiohttp import web

from knowledge.embedders import OpenAIEmbedder, SentenceTransformerEmbedder, build_embedder, model_files
from knowledge.embedders.local import load
from knowledge.embedders.model_files import locate, packaged_model
from knowledge.embedders.prefixes import prefix
from knowledge.errors import EmbeddingError
from knowledge.packaged_models import OFFLINE_MODEL
from knowledge.ports import EncodeKind
from knowledge.search.rerankers import CrossEncoderReranker, LateInteraction, build_reranker, max_sim
from knowledge.types.search_results import Passage
from tests.knowledge.fakes import WordEmbedder
from tests.knowledge.tiny_models import save_cross_encoder

KINDS: tuple[EncodeKind, EncodeKind] = ("query", "passage")


def passage(text: str) -> Passage:
    return Passage(1, "d", text, "source", "", (), 0, len(text), None, 0.0)


@pytest.fixture(scope="module")
def model() -> SentenceTransformerEmbedder:
    return SentenceTransformerEmbedder()


async def test_offline_model_finds_similar_texts(model: SentenceTransformerEmbedder) -> None:
    texts = ["How many days of vacation do I get?", "Every employee has 30 holidays a year.", "Compile the kernel."]
    encoded = await model.encode(texts, "passage")
    assert encoded.vectors.shape == (3, model.dimensions) == (3, 384)
    assert np.allclose(np.linalg.norm(encoded.vectors, axis=1), 1, atol=1e-3)
    alike, other = encoded.vectors[0] @ encoded.vectors[1], encoded.vectors[0] @ encoded.vectors[2]
    assert alike > other + 0.2
    assert encoded.tokens == sum(model.count_tokens(texts))
    assert model.max_tokens == 254


async def test_counting_tokens_does_not_change_the_encoding_tokenizer(model: SentenceTransformerEmbedder) -> None:
    texts = ["short text", "a much longer text " * 12, "words " * 400]
    await model.encode(texts, "passage")
    tokenizer = model.loaded().tokenizer
    before = [one.ids for one in tokenizer.encode(texts)]
    assert [len(ids) for ids in before] == [256, 256, 256]
    assert model.count_tokens(texts) == [2, 48, 400]
    assert [one.ids for one in tokenizer.encode(texts)] == before


async def test_vector_does_not_depend_on_the_batch(model: SentenceTransformerEmbedder) -> None:
    alone = (await model.encode(["short text"], "query")).vectors[0]
    among = (await model.encode(["a much longer text " * 30, "short text"], "query")).vectors[1]
    assert float(alone @ among) > 0.999


async def test_passage_has_the_signs_of_its_tokens(model: SentenceTransformerEmbedder) -> None:
    text = "Notice periods need care."
    query, row = [(await model.encode_tokens([text], kind))[0] for kind in KINDS]
    assert row.tokens.shape == (0, 384)
    assert row.signs.shape == (len(query.tokens), 48) == (model.count_tokens([text])[0], 48)
    assert (row.signs == query.signs).mean() > 0.99
    own, other = max_sim(query.tokens, [row.signs, (await model.encode_tokens(["Lunch"], "passage"))[0].signs])
    assert 1 >= own > other


async def test_ligatures_and_wide_letters_are_encoded_as_plain_ones(model: SentenceTransformerEmbedder) -> None:
    written = "The o\ufb03ce is closed. The \ufb01nal \ufb02oor plan of \uff21\uff22\uff23 hangs there. Ask Wol\ufb00."
    plain = "The office is closed. The final floor plan of ABC hangs there. Ask Wolff."
    odd, even = await model.encode_tokens([written, plain], "passage")
    assert np.allclose(odd.pooled, even.pooled, atol=0.01)
    assert odd.sentences is not None
    assert even.sentences is not None
    assert odd.sentences.shape == even.sentences.shape
    assert np.abs(odd.sentences.astype(int) - even.sentences).max() <= 4
    (question,) = await model.encode_tokens(["o\ufb03ce"], "query")
    assert len(question.tokens) == 1


async def test_encoding_no_texts(model: SentenceTransformerEmbedder) -> None:
    assert (await model.encode([], "passage")).tokens == 0
    assert model.count_tokens([]) == []


async def test_late_interaction_prefers_the_answer(model: SentenceTransformerEmbedder) -> None:
    reranker = LateInteraction(model)
    scores = await reranker.score(
        "How long is the notice period?",
        [passage("The canteen opens at noon."), passage("The notice period is three months.")],
    )
    assert scores[1] > scores[0]
    assert await reranker.score("anything", []) == []


async def test_missing_model_raises_embedding_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    embedder = SentenceTransformerEmbedder(str(tmp_path / "nowhere"))
    with pytest.raises(EmbeddingError, match="PARLEY_EMBEDDING_MODEL"):
        await embedder.encode(["x"], "query")
    await embedder.aclose()


def test_modified_weights_are_refused() -> None:
    published = packaged_model(OFFLINE_MODEL)
    assert published is not None
    with pytest.raises(EmbeddingError, match="not the published ones"):
        model_files.verified_weights(replace(published, sha256="0" * 64))


@pytest.mark.parametrize(
    ("name", "query", "document"),
    [
        ("intfloat/multilingual-e5-small", "query: ", "passage: "),
        ("nomic-ai/nomic-embed-text-v1.5", "search_query: ", "search_document: "),
        ("BAAI/bge-small-en-v1.5", "Represent this sentence for searching relevant passages: ", ""),
        ("BAAI/bge-m3", "", ""),
        ("all-MiniLM-L6-v2", "", ""),
    ],
)
def test_prefixes(name: str, query: str, document: str) -> None:
    assert (prefix(name, "query"), prefix(name, "passage")) == (query, document)


@pytest.fixture
async def server() -> AsyncIterator[str]:
    """A server that embeds a text as (its length, 1), not normalized, and refuses the key ``wrong``."""

    async def embed(request: web.Request) -> web.Response:
        if request.headers["Authorization"] != "Bearer right":
            return web.json_response({"error": {"message": "no"}}, status=401)
        body = await request.json()
        rows = [{"object": "embedding", "index": n, "embedding": [len(t), 1]} for n, t in enumerate(body["input"])]
        usage = {"prompt_tokens": 7, "total_tokens": 7}
        return web.json_response({"object": "list", "data": rows[::-1], "model": body["model"], "usage": usage})

    app = web.Application()
    app.router.add_post("/v1/embeddings", embed)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    await runner.cleanup()


async def test_an_openai_server(server: str) -> None:
    embedder = build_embedder("openai:small", openai_api_key="right", openai_base_url=server)
    encoded = await embedder.encode(["", "abc"], "passage")
    assert np.allclose(encoded.vectors, np.array([[0, 1], [3 / 10**0.5, 1 / 10**0.5]]))
    assert (encoded.tokens, embedder.billed, embedder.dimensions) == (7, True, 2)
    await embedder.aclose()


async def test_wrong_key_is_reported(server: str) -> None:
    embedder = OpenAIEmbedder("small", api_key="wrong", base_url=server)
    with pytest.raises(EmbeddingError, match="OPENAI_API_KEY"):
        await embedder.encode(["x"], "query")
    await embedder.aclose()


def test_an_openai_model_without_a_key() -> None:
    with pytest.raises(EmbeddingError, match="OPENAI_API_KEY"):
        build_embedder("text-embedding-3-small", openai_api_key=None, openai_base_url=None)


@pytest.fixture(scope="module")
def tiny_cross_encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the folder of a cross-encoder with random weights."""
    folder = tmp_path_factory.mktemp("cross-encoder")
    save_cross_encoder(folder)
    return str(folder)


async def test_cross_encoder_scores_each_pair(tiny_cross_encoder: str) -> None:
    reranker = CrossEncoderReranker(tiny_cross_encoder)
    texts = ["one passage", "another one", "a third"]
    scores = await reranker.score("a question", [passage(text) for text in texts])
    again = await reranker.score("a question", [passage(text) for text in reversed(texts)])
    assert len(set(scores)) == 3
    assert np.allclose(scores, again[::-1], atol=0.02)
    assert await reranker.score("a question", []) == []
    await reranker.aclose()


def test_reranker_of_each_setting() -> None:
    model = SentenceTransformerEmbedder()
    assert build_reranker("none", model) is None
    assert isinstance(build_reranker("late-interaction", model), LateInteraction)
    assert isinstance(build_reranker("some/model", model), CrossEncoderReranker)
    assert build_reranker("auto", WordEmbedder()) is None
    with pytest.raises(EmbeddingError, match="PARLEY_RERANKER"):
        build_reranker("late-interaction", WordEmbedder())


async def test_missing_reranker_raises_embedding_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    reranker = CrossEncoderReranker(str(tmp_path / "nowhere"))
    with pytest.raises(EmbeddingError, match="PARLEY_RERANKER"):
        await reranker.score("q", [passage("p")])
    await reranker.aclose()


async def test_models_loaded_at_the_same_time_have_one_dtype() -> None:
    """Loading changes torch's default dtype for the whole process."""
    import torch

    everybody, before = threading.Barrier(3), torch.get_default_dtype()

    def loaded() -> set[torch.dtype]:
        everybody.wait()
        model = load(OFFLINE_MODEL)
        return {weight.dtype for weight in model.parameters()}

    for _ in range(4):
        kinds = await asyncio.gather(*(asyncio.to_thread(loaded) for _ in range(3)))
        assert [len(kind) for kind in kinds] == [1, 1, 1]
        assert torch.get_default_dtype() == before


WAITING = """
import os, sys, threadpoolctl
from knowledge.embedders.local import SentenceTransformerEmbedder
assert "torch" not in sys.modules
assert SentenceTransformerEmbedder().dimensions == 384
assert "torch" in sys.modules
blas = [pool for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas" and "numpy" in pool["filepath"]]
print(os.environ["OMP_WAIT_POLICY"], *(pool["num_threads"] for pool in blas))
"""


@pytest.mark.parametrize(
    ("chosen", "policy"),
    [
        ({}, "PASSIVE 1"),
        ({"OMP_WAIT_POLICY": "ACTIVE", "OPENBLAS_NUM_THREADS": "2"}, f"ACTIVE {min(2, os.cpu_count() or 1)}"),
    ],
)
def test_waiting_threads_do_not_spin(chosen: dict[str, str], policy: str) -> None:
    child = {name: value for name, value in os.environ.items() if "THREADS" not in name and "OMP" not in name} | chosen
    done = subprocess.run([sys.executable, "-c", WAITING], env=child, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == policy


async def test_embedders_of_one_process_share_weights_and_nothing_else() -> None:
    first, second = SentenceTransformerEmbedder(), SentenceTransformerEmbedder()
    one, other = first.loaded(), second.loaded()
    assert one is not other
    assert one.tokenizer is not other.tokenizer
    assert {tensor.data_ptr() for tensor in one.parameters()} == {tensor.data_ptr() for tensor in other.parameters()}
    vectors = [(await embedder.encode(["a hotel in Oslo"], "query")).vectors for embedder in (first, second)]
    assert (vectors[0] == vectors[1]).all()
    await first.aclose()
    await second.aclose()


TEXTS = ["short", "How many days of leave?", "Ünïcode naïve 日本語 text! " * 9, "word " * 700, "x@y.z http://a.b/c?d=1"]


@pytest.mark.parametrize(("precision", "difference"), [("float32", 1e-5), ("bfloat16", 1e-2)])
def test_the_offline_model_computes_the_vectors_of_sentence_transformers(precision: str, difference: float) -> None:
    import torch
    from sentence_transformers import SentenceTransformer

    from knowledge.embedders.minilm_model import open_minilm

    dtype = getattr(torch, precision)
    reference = SentenceTransformer(locate(OFFLINE_MODEL), device="cpu", model_kwargs={"dtype": dtype}).eval()
    own = open_minilm(Path(locate(OFFLINE_MODEL)), dtype)
    with torch.inference_mode():
        for batch in (TEXTS[:1], TEXTS):
            expected: Any = reference.preprocess(batch)
            given = own.preprocess(batch)
            read = expected["input_ids"].shape[1]
            assert [one.offsets[:read] for one in given.encodings] == [one.offsets for one in expected.encodings]
            padding = (0, given["input_ids"].shape[1] - read)  # the ID and the mask of padding are 0
            for name in ("input_ids", "attention_mask", "token_type_ids"):
                expected[name] = torch.nn.functional.pad(expected[name], padding)
            assert (given["input_ids"] == expected["input_ids"]).all()
            wanted, found = reference(expected), own(given)
            for name in ("sentence_embedding", "token_embeddings"):
                pair = found[name].float(), wanted[name].float()
                assert torch.allclose(*pair, atol=difference)
                assert torch.cosine_similarity(*pair, dim=-1).min() > 0.9999
    assert set(own.tokenizer.all_special_ids) == set(reference.tokenizer.all_special_ids)
    counted = reference.tokenizer(TEXTS, add_special_tokens=False, truncation=False, padding=False, verbose=False)
    assert own.tokenizer(TEXTS)["input_ids"] == counted["input_ids"]
    assert own.get_max_seq_length() == reference.get_max_seq_length()
    assert own.get_embedding_dimension() == reference.get_embedding_dimension()
