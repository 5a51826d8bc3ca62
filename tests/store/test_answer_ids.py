"""Short ids of answers, on a real database."""

from __future__ import annotations

import uuid

from sqlalchemy import text

from bot.store.database.session import Database
from bot.store.turns import answer_ids, turns
from tests.store.test_turns import accepted, store_of

TENANT = "slack:T1"


async def test_an_id_is_short_unless_another_answer_of_the_tenant_begins_like_it(database: Database) -> None:
    stores = store_of(database)
    ids = [f"0badcafe-0000-4000-8000-00000000000{n}" for n in (1, 2)] + ["1badcafe-0000-4000-8000-000000000003"]
    for turn_id in ids:
        turn = await accepted(stores, turn_id)
        async with database.tenant(TENANT) as session:
            statement = "UPDATE turns SET turn_id = CAST(:made AS uuid) WHERE turn_id = CAST(:old AS uuid)"
            await session.execute(text(statement), {"made": turn_id, "old": turn.id})
    async with database.tenant(TENANT) as session:
        short = await answer_ids.shortened(session, tenant_id=TENANT, turn_ids=[*ids, uuid.UUID(ids[2]).hex])
        assert short == {ids[0]: ids[0], ids[1]: ids[1], ids[2]: "1badcafe", uuid.UUID(ids[2]).hex: "1badcafe"}
        for one in short.values():
            assert await turns.row_of(session, tenant_id=TENANT, turn_id=one) is not None
        assert await answer_ids.shortened(session, tenant_id=TENANT, turn_ids=[]) == {}
