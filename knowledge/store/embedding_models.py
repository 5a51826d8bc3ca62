"""Opens the configured embedding model, and the previous one while its vectors are still used for search."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from knowledge.errors import EmbeddingError
from knowledge.ports import Embedder, Sessions
from knowledge.store import serving_model
from knowledge.store.serving_model import Serving

log = logging.getLogger(__name__)

RETRY_AFTER = 600.0
"""Seconds before a model that could not be loaded is tried again."""

OpenEmbedder = Callable[[str], Embedder]
"""Opens the embedder of a model by the name that its vectors are stored under. Raises EmbeddingError."""


def _open_none(model: str) -> Embedder:
    raise EmbeddingError(f"The embedding model {model} cannot be loaded here. Set PARLEY_EMBEDDING_MODEL.")


class Models:
    """The embedders of a process: ``current`` is the configured one, ``open_other`` opens others when they are needed.

    Closes the models that it opened; the caller closes ``current``. ``clock`` returns seconds.
    """

    def __init__(
        self, current: Embedder, open_other: OpenEmbedder = _open_none, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.current = current
        self._open = open_other
        self._clock = clock
        self._others: dict[str, Embedder] = {}
        self._failed: dict[str, tuple[float, EmbeddingError]] = {}
        self._announced: set[str] = set()
        self._complete: set[str] = set()
        self._lock = asyncio.Lock()

    async def announce(self, sessions: Sessions, tenant_id: str) -> Serving:
        """Record the configured model for the tenant, once per process; return which models serve."""
        async with sessions(tenant_id) as session:
            if tenant_id in self._announced:
                return await serving_model.read(session, tenant_id)
            serving = await serving_model.announce(session, tenant_id, self.current.model)
        self._announced.add(tenant_id)
        if serving.next_model:
            log.info(
                "%s: %s serves until every passage has a vector of %s", tenant_id, serving.model, serving.next_model
            )
        return serving

    def is_complete(self, tenant_id: str, serving: Serving) -> bool:
        """Return whether this process has found that the tenant needs no other vectors than it has.

        It stays so while the configured model serves, because chunks are stored together with their vectors.
        """
        return tenant_id in self._complete and serving == Serving(self.current.model)

    def mark_complete(self, tenant_id: str) -> None:
        """Record that no vector of the configured model is missing, and no other one is stored."""
        self._complete.add(tenant_id)

    async def load(self, model: str) -> Embedder:
        """Return the loaded embedder of a model.

        Raises EmbeddingError; after a failure it is raised for RETRY_AFTER seconds without another attempt.
        """
        if model == self.current.model:
            return self.current
        async with self._lock:
            if model in self._failed and self._clock() - self._failed[model][0] < RETRY_AFTER:
                raise self._failed[model][1]
            if model in self._others:
                return self._others[model]
            try:
                embedder = self._open(model)
                await asyncio.to_thread(lambda: embedder.max_tokens)
            except EmbeddingError as error:
                self.give_up(model, error)
                raise
            self._others[model] = embedder
            return embedder

    def give_up(self, model: str, error: EmbeddingError) -> None:
        """Stop using a model for RETRY_AFTER seconds, and log the consequences."""
        self._failed[model] = (self._clock(), error)
        log.warning(
            "the stored vectors were made by the embedding model %s, which cannot be used (%s); until every passage "
            "has a vector of %s, passages without one are found only by BM25",
            model,
            error,
            self.current.model,
        )

    async def for_questions(self, serving: Serving) -> Embedder:
        """Return the embedder to encode questions with.

        This is the serving model. If it cannot be loaded, it is the configured model, for which some passages already
        have vectors.
        """
        try:
            return await self.load(serving.model or self.current.model)
        except EmbeddingError:
            return self.current

    async def for_passages(self, serving: Serving) -> list[Embedder]:
        """Return the embedders whose vectors passages need, without those that cannot be loaded.

        If none can be loaded, returns the configured one.
        """
        found: list[Embedder] = []
        for model in serving.models(self.current.model):
            try:
                found.append(await self.load(model))
            except EmbeddingError:
                continue
        return found or [self.current]

    async def aclose(self) -> None:
        """Close the models that were opened here."""
        for embedder in self._others.values():
            await embedder.aclose()
        self._others.clear()
