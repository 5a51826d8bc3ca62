"""Records which files the parsers read."""

from __future__ import annotations

from typing import Any

import pytest

from knowledge.parsing.isolation.sandbox import Parser
from knowledge.types.documents import Document
from knowledge.types.source_items import Fetched


def count_parsed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that the name of every file is added to before it is parsed, by whatever parser."""
    names: list[str] = []
    parse = Parser.parse

    async def recorded(parser: Parser, fetched: Fetched, **options: Any) -> Document:
        names.append(fetched.uri)
        return await parse(parser, fetched, **options)

    monkeypatch.setattr(Parser, "parse", recorded)
    return names
