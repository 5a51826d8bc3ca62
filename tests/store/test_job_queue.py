"""The queue of background jobs on a real database."""

from __future__ import annotations

from psycopg.pq import TransactionStatus

from bot.store.database.job_queue import Queue


async def test_no_connection_of_the_queue_is_idle_in_a_transaction(database_url: str, admin_url: str) -> None:
    """So it needs no limit for that, which is not set where a pooler stands between."""
    queue = Queue(database_url, connections=1)
    await queue.opened()
    try:
        assert await queue.defer("ingest", tenant_id="t", run_id="1") is not None
        assert await queue.recent("t")
        async with queue.connector.pool.connection() as connection:
            assert connection.autocommit
            assert connection.info.transaction_status == TransactionStatus.IDLE
            found = await connection.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%' "
                "AND datname = current_database()"
            )
            assert await found.fetchone() == (0,)
    finally:
        await queue.aclose()
