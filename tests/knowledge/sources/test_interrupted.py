"""A source that fails partway: the documents it yielded are kept, and none are deleted."""

from __future__ import annotations

from collections.abc import AsyncIterator

from knowledge.errors import SourceError
from knowledge.ingest import Ingestor
from knowledge.ports import Sessions
from knowledge.store import document_catalog
from knowledge.types.source_items import NOTHING_KNOWN, Failure, Item, Known
from tests.knowledge.fakes import ListSource, markdown


class InterruptedSource(ListSource):
    async def fetch(self, known: Known = NOTHING_KNOWN) -> AsyncIterator[Item]:
        async for item in super().fetch(known):
            yield item
        raise SourceError("The connection was lost.")


async def test_documents_before_the_failure_are_added_and_none_deleted(ingestor: Ingestor, sessions: Sessions) -> None:
    pages = [markdown(f"{name}.md", f"# {name}\n\nwords of {name}") for name in "abc"]
    await ingestor.ingest([ListSource("site", *pages[:2])], tenant_id="t")
    report = await ingestor.ingest([InterruptedSource("site", pages[1], pages[2])], tenant_id="t")
    assert (report.documents, report.unchanged, report.deleted) == (2, 1, 0)
    assert report.failed == (Failure("site", "The connection was lost."),)
    async with sessions("t") as session:
        rows = await document_catalog.list_documents(session, "t")
    assert {(row.source, row.state) for row in rows} == {
        ("a.md", "ready"),
        ("b.md", "ready"),
        ("c.md", "ready"),
        ("site", "failed"),
    }
    complete = await ingestor.ingest([ListSource("site", *pages[1:])], tenant_id="t")
    assert (complete.unchanged, complete.deleted, complete.failed) == (2, 1, ())
