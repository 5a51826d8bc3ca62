"""Embedders: local sentence-transformers models, and servers with an OpenAI-compatible API."""

from __future__ import annotations

from knowledge.embedders.local import SentenceTransformerEmbedder
from knowledge.embedders.openai import OpenAIEmbedder
from knowledge.embedders.stored_vector_names import split_name
from knowledge.errors import EmbeddingError
from knowledge.ports import Embedder

__all__ = [
    "OpenAIEmbedder",
    "SentenceTransformerEmbedder",
    "build_embedder",
    "open_stored",
]

OPENAI_MODELS = ("text-embedding-3-small", "text-embedding-3-large", "text-embedding-ada-002")


def build_embedder(
    model: str,
    *,
    dimensions: int | None = None,
    openai_api_key: str | None = None,
    openai_base_url: str | None = None,
) -> Embedder:
    """Build the embedder of a model, without loading it.

    OpenAI's ``text-embedding-...`` models and ``openai:NAME`` use the OpenAI-compatible server; every other name or
    path is a sentence-transformers model. ``dimensions`` shortens its vectors. Raises EmbeddingError if the server
    needs a key.
    """
    name = model.removeprefix("openai:")
    if model.startswith("openai:") or name in OPENAI_MODELS:
        if not openai_api_key and not openai_base_url:
            raise EmbeddingError(
                f"The embedding model {name} needs OPENAI_API_KEY. Set it, or unset PARLEY_EMBEDDING_MODEL."
            )
        return OpenAIEmbedder(name, api_key=openai_api_key or "none", base_url=openai_base_url, dimensions=dimensions)
    return SentenceTransformerEmbedder(model, dimensions=dimensions)


def open_stored(stored: str, *, openai_api_key: str | None = None, openai_base_url: str | None = None) -> Embedder:
    """Build the embedder by the name that vectors are stored under, which is ``Embedder.model`` of their embedder.

    Raises EmbeddingError if the server needs a key.
    """
    name, dimensions = split_name(stored)
    keys = {"openai_api_key": openai_api_key, "openai_base_url": openai_base_url}
    return build_embedder(name, dimensions=dimensions, **keys)
