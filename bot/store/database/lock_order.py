"""The order in which transactions lock rows, so that no two of them wait for each other.

1. turns, by thread and number
2. threads, by id
3. what belongs to them: messages, cached answers, claims, facts, ratings, attachments
4. rows of the ledger
5. reservations
6. days of budgets: the person's, the channel's, the tenant's, in the statement that commits
7. the tenant's knowledge, which ingestion and erasure lock
8. what belongs to it: sources, documents, chunks, the index, and runs

A transaction leaves out what it does not need, and never goes back. Four rules follow:

- An acceptance locks its thread, then inserts its turn. Nobody else can lock a turn that is not committed. Late replies
  of the thread are brought forward in a transaction of their own, because that waits for other turns.
- A statement that changes several turns locks them first, with ``turns_where``, because an UPDATE visits rows in any
  order. The same holds for threads.
- A row that refers to a turn or a thread locks it (foreign key), so it is inserted after that turn was locked.
- Leases lock one turn. They may wait for the end of an earlier turn of the thread, through its unique index.

A transaction that breaks the order by chance, because rows appeared after it chose them, is rolled back by PostgreSQL
and run again (``bot.store.database.retry``). ``tests/store/test_lock_conflicts.py`` compares the locks of every two
operations.
"""

from __future__ import annotations


def turns_where(condition: str, mode: str = "NO KEY UPDATE") -> str:
    """Return the statement that locks the turns for which the SQL ``condition`` is true; its rows are ``thread_uid``.

    ``mode`` is ``UPDATE`` for turns that may be deleted, ``KEY SHARE`` for turns that must stay.
    """
    return f"SELECT thread_uid FROM turns WHERE {condition} ORDER BY thread_uid, seq FOR {mode}"  # noqa: S608


THREADS = """
SELECT FROM threads WHERE tenant_id = %(tenant)s AND thread_uid = ANY(%(threads)s)
ORDER BY thread_uid FOR NO KEY UPDATE
"""
"""Locks threads against changes; their ids are ``threads``."""

THREADS_TO_DELETE = THREADS.replace("FOR NO KEY UPDATE", "FOR UPDATE")
"""Locks threads that may be deleted. A question that is being accepted in one waits."""
