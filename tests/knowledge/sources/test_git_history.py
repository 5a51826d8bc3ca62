"""Git repositories whose history is rewritten, and readings of them that are interrupted."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import text

from knowledge.ingest import Ingestor
from knowledge.ports import Sessions
from knowledge.sources.git import GitSource
from knowledge.types.source_items import NOTHING_KNOWN, Fetched, Item, Known
from tests.knowledge.sources.test_git import git, handbook, server, source

__all__ = ["handbook", "server"]
pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


class HangingSource:
    """Reads a repository up to the first changed file, and hangs then."""

    kind = "git"

    def __init__(self, repository: GitSource) -> None:
        self._repository = repository
        self.uri = repository.uri

    def count(self) -> int | None:
        return self._repository.count()

    async def fetch(self, known: Known = NOTHING_KNOWN) -> AsyncIterator[Item]:
        async for item in self._repository.fetch(known):
            yield item
            if isinstance(item, Fetched):
                await asyncio.Event().wait()


async def test_commit_that_was_taken_back_after_an_interrupted_reading_leaves_nothing(
    server: tuple[str, list[str]], handbook: Path, ingestor: Ingestor, sessions: Sessions
) -> None:
    git(handbook, "rm", "--quiet", "large.txt")
    git(handbook, "commit", "--quiet", "-m", "Smaller")
    repository = source(f"{server[0]}/handbook", "127.0.0.1")
    await ingestor.ingest([repository], tenant_id="t")
    (handbook / "README.md").write_text("# A secret that was pushed by mistake\n")
    git(handbook, "commit", "--quiet", "-a", "-m", "Mistake")
    stop = asyncio.Event()
    stopped = await ingestor.ingest(
        [HangingSource(repository)], tenant_id="t", on_progress=lambda _: stop.set(), stop=stop
    )
    assert stopped.stopped
    git(handbook, "reset", "--quiet", "--hard", "HEAD~1")
    await ingestor.ingest([repository], tenant_id="t")
    async with sessions("t") as session:
        texts = list(await session.scalars(text("SELECT text FROM documents")))
    assert len(texts) == 2
    assert not any("secret" in one for one in texts)
