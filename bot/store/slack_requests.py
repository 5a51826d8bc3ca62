"""Stores digests of Slack requests over HTTP, so that a replayed request is recognized by every process."""

from __future__ import annotations

from datetime import datetime

from bot.store.database.pipelined_transactions import Statement
from bot.store.database.session import NO_TENANT, Database

_REMEMBER = """
INSERT INTO slack_requests (tenant_id, digest, expires_at) VALUES ('*', %(digest)s, %(expires_at)s)
ON CONFLICT (tenant_id, digest) DO NOTHING
RETURNING digest
"""
_FORGET = "DELETE FROM slack_requests WHERE tenant_id = '*' AND digest = %(digest)s"
_DELETE_EXPIRED = "DELETE FROM slack_requests WHERE tenant_id = '*' AND expires_at < %(now)s"


async def remember(database: Database, digest: str, *, expires_at: datetime) -> bool:
    """Store the digest. Return False if it was stored before. Raises StoreAway."""
    (added,) = await database.flush(NO_TENANT, Statement(_REMEMBER, {"digest": digest, "expires_at": expires_at}))
    return bool(added)


async def forget(database: Database, digest: str) -> None:
    """Delete the digest. Raises StoreAway."""
    await database.flush(NO_TENANT, Statement(_FORGET, {"digest": digest}))


async def delete_expired(database: Database, now: datetime) -> None:
    """Delete digests of requests whose signatures are no longer valid."""
    await database.flush(NO_TENANT, Statement(_DELETE_EXPIRED, {"now": now}))
