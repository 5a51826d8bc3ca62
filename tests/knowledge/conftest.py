"""Fixtures of the knowledge layer's tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from knowledge.ingest import Ingestor
from knowledge.parsing.isolation.sandbox import Parser
from knowledge.ports import Sessions
from tests.knowledge.fakes import WordEmbedder

if TYPE_CHECKING:
    from tests.knowledge.parsing.hostile_parser import HostileParser, World  # its import starts a process


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


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    from tests.knowledge.parsing.hostile_parser import open_world

    with open_world(tmp_path) as made:
        yield made


@pytest.fixture
async def hostile() -> AsyncIterator[HostileParser]:
    from tests.knowledge.parsing.hostile_parser import HostileParser

    parser = HostileParser()
    yield parser
    await parser.aclose()
