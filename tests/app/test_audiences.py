"""Nobody gets at documents that not everybody who reads the reply may read: the matrix of ``benchmarks.audiences``.

Each of the two defenses that keep tenants apart is measured alone, too.
"""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from benchmarks.audiences import matrix, single_defenses
from bot.app import open_app
from bot.config import Settings
from bot.types.conversation import LOCAL_TENANT
from knowledge.errors import KnowledgeError
from knowledge.store import document_catalog

TENANTS = (LOCAL_TENANT, "slack:T2")
CHANNELS = ("general", "partners", matrix.DIRECT)
"""One for members, one that people from outside read, and one that needs a member. The benchmark has all of them."""


def settings(database_url: str, folder: Path) -> Settings:
    return Settings(
        _env_file=None,
        database_url=SecretStr(database_url),
        data_dir=folder,
        reranker="none",
        web_token=SecretStr("canaries-sing-in-the-harbor"),
    )


async def test_no_canary_reaches_people_who_may_not_read_it(database_url: str, admin_url: str, tmp_path: Path) -> None:
    async with open_app(settings(database_url, tmp_path)) as app:
        found = await matrix.measure(app, (LOCAL_TENANT,), channels=CHANNELS)
    print(matrix.report(found))
    assert (found.leaks, found.silent) == ([], [])
    assert single_defenses.rows_of_wrong_tenants(admin_url, matrix.owners(TENANTS)) == []
    for person in (*matrix.PEOPLE, "web"):
        assert found.controls[person], f"{person} was shown nothing at all, so the matrix proves nothing"
    for way in (
        "question without a mention",
        "attached file, in its thread",
        "signed in, sources of a public answer",
        "signed in, /sources of a public answer",
        "proxy, admin, sources of a public answer",
        "proxy, admin, conversation afterwards",
        "proxy, member ann, conversation afterwards",
        "proxy, member ben, conversation afterwards",
    ):
        assert found.ways[way], f"{way} shows nothing at all, so the matrix proves nothing"


@pytest.mark.parametrize("defense", ["database", "code"])
async def test_each_defense_alone_keeps_tenants_apart(
    database_url: str, admin_url: str, tmp_path: Path, defense: str
) -> None:
    if defense == "code":
        single_defenses.disable_row_level_security(admin_url)
    with single_defenses.without_tenant_conditions() if defense == "database" else nullcontext():
        async with open_app(settings(database_url, tmp_path)) as app:
            found = await matrix.measure(app, TENANTS, channels=("partners",), people=("admin", "guest"), pages=False)
    assert (found.leaks, found.silent) == ([], [])
    assert found.controls["admin"]
    assert single_defenses.rows_of_wrong_tenants(admin_url, matrix.owners(TENANTS)) == []


async def test_without_both_defenses_tenants_are_not_apart(database_url: str, admin_url: str, tmp_path: Path) -> None:
    """The runs with one defense prove something only if the other one is really gone."""
    async with open_app(settings(database_url, tmp_path)) as app:
        await matrix.fill(app, TENANTS[0])
        await matrix.fill(app, TENANTS[1])
        async with app.database.tenant(TENANTS[1]) as session:
            foreign = str(await session.scalar(text("SELECT id FROM documents WHERE audience = 'tenant'")))

        async def is_read() -> bool:
            try:
                async with app.database.tenant(TENANTS[0]) as session:
                    return bool((await document_catalog.show(session, TENANTS[0], foreign)).text)
            except KnowledgeError:
                return False

        assert not await is_read()
        with single_defenses.without_tenant_conditions():
            assert not await is_read()
        # In a thread: the statement waits for transactions of the app, which need the event loop to end.
        await asyncio.to_thread(single_defenses.disable_row_level_security, admin_url)
        assert not await is_read()
        with single_defenses.without_tenant_conditions():
            assert await is_read()
    assert single_defenses.rows_of_wrong_tenants(admin_url, {matrix.canary(TENANTS[1], "tenant"): TENANTS[0]})
