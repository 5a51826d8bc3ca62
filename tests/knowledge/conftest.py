"""Fixtures of the knowledge layer's tests."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from knowledge.ingest import Ingestor
from knowledge.parsing.sandbox import Parser
from knowledge.ports import Sessions
from tests.knowledge.fakes import WordEmbedder


@pytest.fixture
def embedder() -> WordEmbedder:
    return WordEmbedder()


@pytest.fixture
async def parser() -> AsyncIterator[Parser]:
    parser = Parser()
    yield parser
    await parser.aclose()


@pytest.fixture
def ingestor(sessions: Sessions, embedder: WordEmbedder, parser: Parser) -> Ingestor:
    return Ingestor(sessions, embedder, parser=parser, chunk_tokens=64)
