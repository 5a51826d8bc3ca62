"""Shares the weights of the offline model among the embedders of a test process.

Every app of a test loads the model. Each time, torch and the tokenizer keep some 25 MB for good, and the modules wait
for the garbage collector: without sharing, a process with hundreds of tests needs gigabytes.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from knowledge.embedders import local

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


@contextmanager
def shared_model() -> Iterator[None]:
    """Load the offline model once. Each embedder gets a copy with a tokenizer of its own and the same weights."""
    load = local._load
    first: list[SentenceTransformer] = []
    lock = threading.Lock()  # Embedders load in threads of their own.

    def load_or_copy(model: str, dimensions: int | None) -> SentenceTransformer:
        if model != local.OFFLINE_MODEL or dimensions is not None:
            return load(model, dimensions)
        with lock:
            if not first:
                first.append(load(model, dimensions))
        [loaded] = first
        weights = {id(tensor): tensor for tensor in (*loaded.parameters(), *loaded.buffers())}
        return copy.deepcopy(loaded, weights)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local, "_load", load_or_copy)
        yield
