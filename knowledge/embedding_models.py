"""The embedding model of the settings, and the one before it for as long as its vectors serve."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from knowledge import serving_model
from knowledge.errors import EmbeddingError
from knowledge.ports import Embedder, Sessions
from knowledge.serving_model import Serving

log = logging.getLogger(__name__)

RETRY_AFTER = 600.0
"""Seconds before a model that could not be loaded is tried again."""

OpenEmbedder = Callable[[str], Embedder]
"""The embedder of a model by the name that its vectors are stored under. Raises EmbeddingError."""


def _no_other(model: str) -> Embedder:
    raise EmbeddingError(f"The embedding model {model} cannot be loaded here; set PARLEY_EMBEDDING_MODEL.")


class Models:
    """``current`` is the embedder of the settings; ``open_other`` makes those of other models when they are needed.

    Models opened here are closed here; ``current`` belongs to whoever made it. ``clock`` counts seconds.
    """

    def __init__(
        self, current: Embedder, open_other: OpenEmbedder = _no_other, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.current = current
        self._open = open_other
        self._clock = clock
        self._others: dict[str, Embedder] = {}
        self._failed: dict[str, tuple[float, EmbeddingError]] = {}
        self._announced: set[str] = set()
        self._lock = asyncio.Lock()

    async def announce(self, sessions: Sessions, tenant_id: str) -> Serving:
        """Tell the tenant, once a process, which model is configured; returns which ones serve."""
        async with sessions(tenant_id) as session:
            if tenant_id in self._announced:
                return await serving_model.read(session, tenant_id)
            found = await serving_model.announce(session, tenant_id, self.current.model)
        self._announced.add(tenant_id)
        if found.next_model:
            log.info("%s: %s serves until every passage has a vector of %s", tenant_id, found.model, found.next_model)
        return found

    async def load(self, model: str) -> Embedder:
        """The embedder of a model, ready to encode. Raises EmbeddingError, for a while without trying again."""
        if model == self.current.model:
            return self.current
        async with self._lock:
            if model in self._others:
                return self._others[model]
            if model in self._failed and self._clock() - self._failed[model][0] < RETRY_AFTER:
                raise self._failed[model][1]
            try:
                embedder = self._open(model)
                await asyncio.to_thread(lambda: embedder.max_tokens)
            except EmbeddingError as error:
                self.give_up(model, error)
                raise
            self._others[model] = embedder
            return embedder

    def give_up(self, model: str, error: EmbeddingError) -> None:
        """Do without a model for a while, and say what follows."""
        self._failed[model] = (self._clock(), error)
        self._others.pop(model, None)
        log.warning(
            "the embedding model %s made the stored vectors and cannot be used (%s); until every passage has a vector "
            "of %s, those that have none are found by their words alone",
            model,
            error,
            self.current.model,
        )

    async def for_questions(self, state: Serving) -> Embedder:
        """What questions are encoded with: the model that serves, or, where it cannot be loaded, the configured one,
        whose vectors some passages have already."""
        try:
            return await self.load(state.model or self.current.model)
        except EmbeddingError:
            return self.current

    async def for_passages(self, state: Serving) -> list[Embedder]:
        """What passages need vectors of, without models that cannot be loaded. Raises EmbeddingError for none."""
        found: list[Embedder] = []
        for model in state.models(self.current.model):
            try:
                found.append(await self.load(model))
            except EmbeddingError:
                continue
        return found or [self.current]

    async def aclose(self) -> None:
        """Close what was opened here."""
        for embedder in self._others.values():
            await embedder.aclose()
        self._others.clear()
