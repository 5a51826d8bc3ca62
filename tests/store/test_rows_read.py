"""No operation reads more rows because a tenant has asked more: every look-up finds its rows by an index."""

from __future__ import annotations

import asyncio
from collections import Counter
from functools import partial

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.store.budgets import budget_counters
from bot.store.database.session import Database
from bot.store.maintenance import look
from tests.store.test_turns import NOON
from tests.store.turn_operations import OPERATIONS, SHORT_OPERATIONS, TENANT, Operation, Scene, build_scene
from tests.superuser_access import superuser_connection

TURNS = 2000
"""Turns of other threads and people in the same tenant."""
FEW = 200
"""More rows of one table than any operation on a thread of four questions needs."""
READS_ALL = {
    "erase U1": "looks for the person's name in what others wrote",
    "erase U2": "looks for the person's name in what others wrote",
    "sum up a day": "reads every call of the day",
}
MOST = dict.fromkeys(
    (f"{name}: {table}" for name in ("look", "keep house") for table in ("answers", "documents")), TURNS + FEW
)
"""More rows where they are needed: maintenance reads every cached answer of the day and the document that it cites."""
DOCUMENTS = """
WITH source AS (
    INSERT INTO sources (tenant_id, id, uri, kind, audience, fetched_at)
    VALUES (:tenant, gen_random_uuid(), 'https://example.org/', 'url', 'tenant', now()) RETURNING id
)
INSERT INTO documents (tenant_id, id, source_id, uri, title, text, blocks, metadata, content_hash, recipe, audience,
    state, fetched_at)
SELECT :tenant, md5('document' || n)::uuid, source.id, n, '', '', '[]', '{}', 'hash', '', 'tenant', 'ready', now()
FROM source, generate_series(0, 299) AS n
"""
EVERY = {"thread_uid": "md5('thread' || (1 + n % 400))::uuid", "turn_id": "md5('turn' || n)::uuid"}
"""Expressions for the ids of the added rows: five turns in a thread."""
OTHERS = {
    "threads": {"thread_uid": "md5('thread' || n)::uuid", "thread_id": "n::text"},
    "turns": EVERY
    | {"thread_id": "(1 + n % 400)::text", "message_id": "'m' || n", "user_id": "'V' || n % 50"}
    | {"created_at": "now() + interval '100 years'"},
    "inbox": {"turn_id": EVERY["turn_id"], "message_id": "'m' || n"},
    "messages": EVERY,
    "reply_parts": {"turn_id": EVERY["turn_id"], "ref": "n::text"},
    "ledger": EVERY | {"call_id": "gen_random_uuid()", "user_id": "'V' || n % 50"},
    "reservations": {"turn_id": EVERY["turn_id"], "reservation_id": "gen_random_uuid()"},
    "answers": {"turn_id": EVERY["turn_id"], "key": "'k' || n"}
    | {"documents": "jsonb_build_object(md5('document' || n % 300)::uuid, 'hash')"},
    "facts": EVERY | {"fact_id": "gen_random_uuid()"},
    "feedback": {"turn_id": EVERY["turn_id"]},
}
"""What differs in the rows that are added to each table. The rest is as in the row of the first or a settled turn."""
LIKE = {
    "turns": "state = 'done'",
    "ledger": "status = 'ok'",
    "reservations": "state = 'settled'",
    "messages": "role = 'user'",
}


async def add_others(connection: AsyncConnection) -> None:
    """Add the rows of ``TURNS`` turns that have ended and whose replies were shown."""
    columns = text(
        "SELECT attname FROM pg_attribute WHERE attrelid = CAST(:table AS regclass) AND attnum > 0 "
        "AND NOT attisdropped AND attidentity = ''"
    )
    await connection.execute(text(DOCUMENTS), {"tenant": TENANT})
    await connection.execute(text("ANALYZE documents"))
    for table, changed in OTHERS.items():
        names = list(await connection.scalars(columns, {"table": table}))
        shown = {"deliver_at": "NULL", "lease_until": "NULL"}
        values = ", ".join(changed.get(name) or shown.get(name) or name for name in names)
        number = 400 if table == "threads" else TURNS
        one = f"SELECT * FROM {table} WHERE {LIKE.get(table, 'true')} LIMIT 1"
        await connection.execute(
            text(
                f"INSERT INTO {table} ({', '.join(names)}) "
                f"SELECT {values} FROM ({one}) AS one, generate_series(1, {number}) AS n"
            )
        )
        await connection.execute(text(f"ANALYZE {table}"))


async def rows_read(database: Database) -> Counter[str]:
    """Return how many rows of each table were read since the beginning, once every connection has told it."""
    await database.engine.dispose()
    others = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
        "AND backend_type = 'client backend'"
    )
    read = text(
        "SELECT relname, coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) AS rows FROM pg_stat_user_tables"
    )
    async with superuser_connection(database) as connection, asyncio.timeout(60):
        while await connection.scalar(others):
            await asyncio.sleep(0.001)
        return Counter({row.relname: row.rows for row in await connection.execute(read)})


async def _look(scene: Scene) -> None:
    await look(scene.database, TENANT, now=NOON)


async def _read_queue(scene: Scene) -> None:
    for asked in (scene.stores.queue.ready_turns, scene.stores.queue.has_work, scene.stores.retractions.withdrawn):
        await asked("slack")


async def _read_thread(scene: Scene) -> None:
    await scene.stores.conversation.turn_record(scene.waiting)
    await scene.stores.inbox.turns_of(scene.thread, "1")
    await scene.stores.inbox.turn_shown_in(TENANT, "slack", "1700000000.1", "C1")
    await scene.stores.inbox.follows(scene.thread)
    await scene.stores.answers.cached(TENANT, "key 1")
    role = partial(budget_counters.role_of, tenant_id=TENANT, user_id="U1")
    await scene.database.run(TENANT, role)


READS: dict[str, Operation] = {"look": _look, "read the queue": _read_queue, "read the thread": _read_thread}


async def test_no_operation_reads_more_rows_as_a_tenant_grows(database: Database) -> None:
    scene = await build_scene(database, "thread")
    async with superuser_connection(database) as connection:
        await add_others(connection)
    known = await rows_read(database)
    too_many: dict[str, int] = {}
    for name, operation in (READS | SHORT_OPERATIONS | OPERATIONS).items():
        await operation(scene)
        now = await rows_read(database)
        if name not in READS_ALL:
            read = {f"{name}: {table}": rows for table, rows in (now - known).items()}
            too_many |= {where: rows for where, rows in read.items() if rows > MOST.get(where, FEW)}
        known = now
    assert too_many == {}
