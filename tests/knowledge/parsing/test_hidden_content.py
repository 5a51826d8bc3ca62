"""Hidden parts of documents in the knowledge: out by default, in where a source asks for them, also at a refresh."""

from __future__ import annotations

import io

import openpyxl
from sqlalchemy import text

from knowledge.ingest import Ingestor
from knowledge.ports import Sessions
from knowledge.source_options import SourceOptions
from knowledge.types.source_items import Fetched
from tests.knowledge.fakes import ListSource


def workbook() -> bytes:
    book = openpyxl.Workbook()
    book.active.append(["Plan", "Price"])
    book.active.append(["Team", 12])
    secret = book.create_sheet("Pay")
    secret.append(["Ann", 91000])
    secret.sheet_state = "hidden"
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


async def stored(sessions: Sessions) -> str:
    async with sessions("t") as session:
        return "\n".join(await session.scalars(text("SELECT text FROM chunks")))


async def test_hidden_sheet_is_stored_only_for_a_source_that_asks_for_it(
    ingestor: Ingestor, sessions: Sessions
) -> None:
    source = ListSource("list", Fetched("pay.xlsx", workbook()))
    await ingestor.ingest([source], tenant_id="t")
    assert "Team" in await stored(sessions)
    assert "91000" not in await stored(sessions)
    await ingestor.ingest([source], tenant_id="t", options=SourceOptions(include_hidden=True))
    assert "91000" in await stored(sessions)
    refreshed = await ingestor.ingest([source], tenant_id="t")
    assert refreshed.unchanged == 1
    assert "91000" in await stored(sessions)
    await ingestor.ingest([source], tenant_id="t", options=SourceOptions(include_hidden=False))
    assert "91000" not in await stored(sessions)
