"""Erasing an ID of which nothing is stored, as one with a typing error, changes no row of anybody else."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import sql

from bot.app import App
from bot.store.privacy import erasure
from tests.app.test_erasure_everywhere import PERSON, TENANT, Planter, plant_everything

OF_THE_SYSTEM = {"processes", "knowledge_state"}
"""Tables with signs of life, and with the version by which caches are checked."""


def rows_of_every_table(url: str) -> dict[str, list[str]]:
    """Return the rows of each table, as text, in order."""
    with psycopg.connect(url) as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        return {
            name: sorted(
                str(row[0])
                for row in connection.execute(sql.SQL("SELECT t::text FROM {} t").format(sql.Identifier(name)))
            )
            for (name,) in tables
            if name not in OF_THE_SYSTEM
        }


async def test_nothing_changes_for_an_id_of_which_nothing_is_stored(app: App, admin_url: str) -> None:
    plant_everything(Planter(admin_url), "ferns.md")
    before = rows_of_every_table(admin_url)
    assert len(before["page_commands"]) == 2
    async with app.database.tenant(TENANT) as session:
        done = await erasure.erase(session, tenant_id=TENANT, user_id="U404")
    assert {name: count for name, count in done.items() if count} == {}
    assert rows_of_every_table(admin_url) == before


@pytest.mark.parametrize("author", [PERSON, "U2"])
async def test_who_only_ran_commands_on_the_page_is_erased_with_all_replies(
    app: App, admin_url: str, author: str
) -> None:
    plant = Planter(admin_url)
    plant("tenants", platform="slack")
    plant("page_commands", command_id="1", author_id=author, card={"text": "hello"}, ended=True)
    plant("page_commands", command_id="2", author_id="U3", card={"text": f"about {author}"}, ended=True)
    async with app.database.tenant(TENANT) as session:
        assert (await erasure.erase(session, tenant_id=TENANT, user_id=author))["page_commands"] == 2
