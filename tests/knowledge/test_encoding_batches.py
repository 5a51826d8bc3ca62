"""Texts of concurrent callers are encoded in batches: by one thread, queries first, short texts in larger batches."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

import numpy as np
import pytest

from knowledge.embedders import SentenceTransformerEmbedder, batching, local
from knowledge.embedders.batching import BatchingWorker
from knowledge.embedders.token_vectors import TokenVectors
from knowledge.errors import EmbeddingError
from knowledge.ports import EncodeKind


async def test_concurrent_texts_share_a_batch_and_queries_go_first() -> None:
    gate = threading.Event()
    batches: list[list[str]] = []

    def encode(texts: Sequence[str], kind: EncodeKind) -> list[str]:
        gate.wait()
        batches.append(list(texts))
        return [text.upper() for text in texts]

    worker = BatchingWorker[str](encode, batch=4)
    first = asyncio.create_task(worker.run(["first"], "passage"))
    await asyncio.sleep(0.05)
    others = [asyncio.create_task(worker.run([f"p{n}", f"q{n}"], "passage")) for n in range(3)]
    question = asyncio.create_task(worker.run(["question"], "query"))
    await asyncio.sleep(0.05)
    gate.set()
    assert await question == ["QUESTION"]
    assert [await other for other in others] == [[f"P{n}", f"Q{n}"] for n in range(3)]
    assert await first == ["FIRST"]
    assert batches == [["first"], ["question"], ["p0", "q0", "p1", "q1"], ["p2", "q2"]]
    await worker.aclose()


async def test_short_texts_form_larger_batches_than_long_ones() -> None:
    batches: list[int] = []

    def encode(texts: Sequence[str], kind: EncodeKind) -> list[str]:
        batches.append(len(texts))
        return list(texts)

    worker = BatchingWorker[str](encode, batch=2, batch_bytes=100)
    short, long = [f"{number:02}" for number in range(60)], [f"{number:080}" for number in range(5)]
    assert await worker.run([*short, *long], "passage") == [*short, *long]
    assert batches == [50, 11, 2, 2]
    chinese = ["\u516d" * 10] * 6
    assert await worker.run(chinese, "passage") == chinese
    assert batches[4:] == [3, 3]
    await worker.aclose()


async def test_passes_through_the_model_are_limited_with_their_padding(monkeypatch: pytest.MonkeyPatch) -> None:
    passes: list[list[str]] = []
    encode_batch = local._encode_batch

    def recorded(model: Any, texts: Sequence[str], kind: EncodeKind, prefix_chars: int) -> list[TokenVectors]:
        passes.append(list(texts))
        return encode_batch(model, texts, kind, prefix_chars)

    monkeypatch.setattr(local, "_encode_batch", recorded)
    embedder = SentenceTransformerEmbedder()
    texts = [f"Gate {number} is blue." for number in range(100)] + ["A long sentence about gates. " * 60] * 16
    together = await embedder.encode(texts, "passage")
    assert [len(one) for one in passes] == [100, 8, 8]
    alone = [(await embedder.encode([text], "passage")).vectors[0] for text in (texts[7], texts[-1])]
    assert np.allclose(together.vectors[[7, -1]], alone, atol=0.02)
    await embedder.aclose()


@pytest.mark.parametrize("kind", ["query", "passage"])
async def test_vectors_of_a_text_do_not_depend_on_the_texts_beside_it(kind: EncodeKind) -> None:
    embedder = SentenceTransformerEmbedder()
    texts = [" ".join(f"Gate {number} opens at {hour}." for hour in range(number + 1)) for number in range(40)]
    together = await embedder.encode_tokens(texts, kind)
    for text, beside in list(zip(texts, together, strict=True))[::4]:
        (alone,) = await embedder.encode_tokens([text], kind)
        assert np.array_equal(alone.pooled, beside.pooled)
        assert np.array_equal(alone.signs, beside.signs)
        assert np.array_equal(alone.tokens, beside.tokens)
    await embedder.aclose()


async def test_failing_batch_fails_only_its_own_jobs() -> None:
    def encode(texts: Sequence[str], kind: EncodeKind) -> list[str]:
        if "bad" in texts:
            raise ValueError("bad text")
        return list(texts)

    worker = BatchingWorker[str](encode, batch=2)
    results = await asyncio.gather(
        worker.run(["bad", "x", "y", "z"], "passage"), worker.run(["good"], "query"), return_exceptions=True
    )
    assert isinstance(results[0], ValueError)
    assert results[1] == ["good"]
    assert await worker.run(["after"], "passage") == ["after"]
    await worker.aclose()
    with pytest.raises(EmbeddingError):
        await worker.run(["closed"], "passage")


async def test_job_canceled_as_it_ends_does_not_stop_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    class CanceledLast(Future[list[str]]):
        """Is canceled after every check, right before it gets its result or error."""

        def set_result(self, result: list[str]) -> None:
            self.cancel()
            super().set_result(result)

        def set_exception(self, exception: BaseException | None) -> None:
            self.cancel()
            super().set_exception(exception)

    def encode(texts: Sequence[str], kind: EncodeKind) -> list[str]:
        if "bad" in texts:
            raise ValueError("bad text")
        return list(texts)

    worker = BatchingWorker[str](encode)
    with monkeypatch.context() as patched:
        patched.setattr(batching, "Future", CanceledLast)
        for canceled in ("good", "bad"):
            with pytest.raises(asyncio.CancelledError):
                await asyncio.wait_for(worker.run([canceled], "passage"), 5)
    assert await asyncio.wait_for(worker.run(["after"], "passage"), 5) == ["after"]
    await worker.aclose()
