"""Tests that erasing a person's data leaves none of their words in the database, while the cost records still add
up."""

from __future__ import annotations

from sqlalchemy import text

from bot.app import App
from bot.store.privacy import data_export, erasure
from bot.types.conversation import LOCAL_TENANT, Author
from tests.app.conftest import Everything, ask
from tests.doubles.models import ModelDouble, Reply, Seen

CANARY = "zanzibarquokka"


async def test_erasing_a_user_removes_a_canary_word_from_the_database(
    app_with_models: App, models: ModelDouble, everything: Everything
) -> None:
    def script(seen: Seen) -> Reply:
        if "memory of this conversation" in seen.messages[-1][1]:
            return Reply(f"Ann spoke of {CANARY}.")
        asked = seen.messages[-1][1]
        return Reply(f"You asked about {CANARY}. " * 40 if CANARY in asked else "On Fridays.")

    models.script = script
    for n in range(9):
        await ask(app_with_models, f"What of {CANARY} and hotels, {n}?")
    await ask(app_with_models, "When may dogs come?", "t2", user="bob")
    database = app_with_models.database
    async with database.tenant(LOCAL_TENANT) as session:
        (turn_id,) = await session.scalars(text("SELECT turn_id::text FROM turns WHERE user_id = 'ann' LIMIT 1"))
        before = (await session.execute(text("SELECT count(*), sum(cost_usd) FROM ledger"))).one()
        spent = await session.scalar(text("SELECT sum(used) FROM budget_days"))
        kept = await data_export.export(session, tenant_id=LOCAL_TENANT, user_id="ann")
    await app_with_models.dispatcher.rate(
        turn_id, Author("ann", "Ann"), tenant_id=LOCAL_TENANT, value=-1, reason=f"no {CANARY}"
    )
    assert len(kept["turns"]) == 9
    assert CANARY in await everything()

    async with database.tenant(LOCAL_TENANT) as session:
        done = await erasure.erase(session, tenant_id=LOCAL_TENANT, user_id="ann")
    left = await everything()
    assert CANARY not in left
    assert '"ann"' not in left
    assert "user:ann" not in left
    assert (done["turns"], done["threads"], done["feedback"]) == (9, 1, 1)
    async with database.tenant(LOCAL_TENANT) as session:
        assert (await session.execute(text("SELECT count(*), sum(cost_usd) FROM ledger"))).one() == before
        assert await session.scalar(text("SELECT sum(used) FROM budget_days")) == spent
        assert list(await session.scalars(text("SELECT DISTINCT user_id FROM turns"))) == ["bob"]
        again = await data_export.export(session, tenant_id=LOCAL_TENANT, user_id="ann")
    assert again["turns"] == []
