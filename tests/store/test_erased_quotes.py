"""Erasing a person's documents blanks the answers that quote them, and no others."""

from __future__ import annotations

import json
import uuid

import pytest
from sqlalchemy import text

from bot.store.database.session import Database
from bot.store.privacy import erasure
from bot.store.privacy.erased_documents import ERASED_ANSWER
from knowledge.ingest import Ingestor
from knowledge.sources.files import UploadSource
from tests.knowledge.fakes import WordEmbedder
from tests.store.test_question_changes import answered
from tests.store.test_turns import store_of

TENANT = "slack:T1"
NAME = "budget.md"


async def uploaded(database: Database, audience: str, person: str) -> str:
    """Ingest a file under the same name for one channel, and return the ID of its document."""
    ingestor = Ingestor(database.tenant, WordEmbedder())
    source = UploadSource(NAME, f"# Budget\n\nThe budget of {audience} is large.".encode())
    report = await ingestor.ingest([source], tenant_id=TENANT, audience=audience)
    await ingestor.aclose()
    assert (report.documents, report.failed) == (1, ())
    async with database.tenant(TENANT) as session:
        await session.execute(
            text("UPDATE sources SET added_by = :person WHERE audience = :audience"),
            {"person": person, "audience": audience},
        )
        return str(await session.scalar(text("SELECT id FROM documents WHERE audience = :one"), {"one": audience}))


@pytest.mark.parametrize(
    ("cites", "is_blanked"), [("own", True), ("of another person", False), ("earlier version", True)]
)
async def test_an_answer_from_a_document_of_the_same_name_stays(
    database: Database, cites: str, is_blanked: bool
) -> None:
    own, other = await uploaded(database, "C1", "UANN"), await uploaded(database, "C2", "UBOB")
    cited = {"own": own, "of another person": other, "earlier version": str(uuid.uuid4())}[cites]
    await answered(store_of(database), "1")
    async with database.tenant(TENANT) as session:
        await session.execute(
            text("UPDATE turns SET citations = CAST(:cited AS jsonb), user_id = 'UEVE'"),
            {"cited": json.dumps([{"source": NAME, "document_id": cited}])},
        )
        before = await session.scalar(text("SELECT answer FROM turns"))
    async with database.tenant(TENANT) as session:
        await erasure.erase(session, tenant_id=TENANT, user_id="UANN", documents="delete")
    async with database.tenant(TENANT) as session:
        answer, citations = (await session.execute(text("SELECT answer, citations FROM turns"))).one()
        said = await session.scalar(text("SELECT text FROM messages WHERE role = 'assistant'"))
    assert before
    assert (answer, bool(citations)) == ((ERASED_ANSWER, False) if is_blanked else (before, True))
    assert said == answer
