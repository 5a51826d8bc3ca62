"""The prefixes that models expect in front of queries and passages. Does no I/O."""

from __future__ import annotations

from knowledge.ports import EncodeKind

_BGE_QUERY = "Represent this sentence for searching relevant passages: "


def prefix(model: str, kind: EncodeKind) -> str:
    """Return the prefix for a query or passage from the model's card; empty if it has none."""
    name = model.rsplit("/", 1)[-1].lower()
    if is_e5(model):
        return "query: " if kind == "query" else "passage: "
    if "nomic-embed" in name:
        return "search_query: " if kind == "query" else "search_document: "
    if name.startswith("bge-") and "-en" in name:
        return _BGE_QUERY if kind == "query" else ""
    return ""


def is_e5(model: str) -> bool:
    """Return whether this is an E5 model whose queries and passages begin with ``query: `` and ``passage: ``."""
    name = model.rsplit("/", 1)[-1].lower()
    return "e5" in name and "instruct" not in name
