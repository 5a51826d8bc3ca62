"""``parley erase`` asks what becomes of the documents that the person uploaded."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from bot.store.database.session import Database
from knowledge.ingest import Ingestor
from knowledge.parsing.isolation.sandbox import Parser
from knowledge.sources.files import UploadSource
from knowledge.store import upload_records
from tests.cli.conftest import Parley
from tests.knowledge.fakes import WordEmbedder


def uploaded(database_url: str, name: str) -> None:
    """Store an upload of the user U9."""

    async def store() -> None:
        database = Database(database_url)
        embedder, parser = WordEmbedder(), Parser()
        try:
            async with database.tenant("local") as session:
                await upload_records.find_or_add(
                    session,
                    tenant_id="local",
                    uri=f"upload:{name}",
                    audience="tenant",
                    added_by="U9",
                    replaces_others=False,
                    now=datetime.now(UTC),
                )
            ingestor = Ingestor(database.tenant, embedder, parser=parser)
            await ingestor.ingest([UploadSource(name, b"# Notes\n\nThe canary sings.")], tenant_id="local")
        finally:
            await parser.aclose()
            await database.aclose()

    asyncio.run(store())


@pytest.mark.parametrize(("choice", "left"), [("delete", []), ("keep", ["notes.md"])])
def test_erase_asks_what_becomes_of_the_uploads(
    parley: Parley, database_url: str, choice: str, left: list[str]
) -> None:
    assert parley("db", "upgrade").status == 0
    uploaded(database_url, "notes.md")
    undecided = parley("erase", "--user", "U9", "--json")
    assert (undecided.status, undecided.out) == (2, "")
    assert "U9 uploaded 1 document. Add --documents delete" in undecided.err
    assert [row["source"] for row in parley("docs", "--json").document] == ["notes.md"]
    erased = parley("erase", "--user", "U9", "--documents", choice, "--json")
    assert erased.status == 0
    assert erased.document["user"] == "U9"
    assert erased.document["erased"]["documents"] == (1 if choice == "delete" else 0)
    assert [row["source"] for row in parley("docs", "--json").document] == left
    again = parley("erase", "--user", "U9", "--json")
    assert (again.status, again.out) == (1, "")
    assert "Nothing is stored about the user U9 in local." in again.err
    wrong = parley("erase", "--user", "U9", "--documents", "burn")
    assert wrong.status == 2


@pytest.mark.parametrize("command", ["erase", "export"])
def test_a_user_about_whom_nothing_is_stored_is_an_error(parley: Parley, command: str) -> None:
    assert parley("db", "upgrade").status == 0
    found = parley(command, "--user", "U404", "--json")
    assert (found.status, found.out) == (1, "")
    assert found.err.strip().endswith(
        "Nothing is stored about the user U404 in local. Check the ID, or choose another workspace with --tenant."
    )
