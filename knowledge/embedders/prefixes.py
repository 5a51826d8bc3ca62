"""What a model was trained to see in front of a text. Pure."""

from __future__ import annotations

from knowledge.ports import EncodeKind

_BGE_QUERY = "Represent this sentence for searching relevant passages: "


def prefix(model: str, kind: EncodeKind) -> str:
    """The prefix for a query or a passage, as the model's card gives it; empty where there is none."""
    name = model.rsplit("/", 1)[-1].lower()
    if "e5" in name and "instruct" not in name:
        return "query: " if kind == "query" else "passage: "
    if "nomic-embed" in name:
        return "search_query: " if kind == "query" else "search_document: "
    if name.startswith("bge-") and "-en" in name:
        return _BGE_QUERY if kind == "query" else ""
    return ""
