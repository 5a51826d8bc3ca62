"""The call that rewrites a question also returns the parts that must be searched each."""

from __future__ import annotations

import json

import pytest

from bot.llm import query_rewriting
from bot.llm.query_rewriting import MAX_QUERY_CHARS, ModelRewriter
from knowledge.compound_questions import MAX_PARTS
from tests.doubles.models import ModelDouble, Reply
from tests.llm.llm_requests import Adapter


@pytest.mark.parametrize(
    ("named", "parts"),
    [
        ([], []),
        (["The limit?"], []),
        (["London?", "London?"], []),
        (["London?", " ", "Ghent?"], ["London?", "Ghent?"]),
        (["a?", "b?", "c?", "d?"], ["a?", "b?", "c?"]),
        (["x" * 1000, "y"], ["x" * MAX_QUERY_CHARS, "y"]),
    ],
)
async def test_at_most_three_parts_are_taken(
    adapter: Adapter, double: ModelDouble, named: list[str], parts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(query_rewriting, "TIMEOUT", 120.0)  # for a busy machine
    answer = {"question": "Compare the limits.", "parts": named, "needs_search": True, "language": "en"}
    double.script = lambda _: Reply(json.dumps(answer))
    rewriter = ModelRewriter(adapter)
    rewritten = await rewriter(rewriter.prompt("Which is higher?", []), meter=lambda _: None)
    assert [part.text for part in rewritten.parts] == parts
    assert len(rewritten.parts) <= MAX_PARTS
    assert len(double.requests) == 1
