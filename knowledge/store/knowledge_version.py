"""The version number of a tenant's documents, and the lock that writers of documents take.

Every function runs inside its caller's transaction.
"""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from knowledge.errors import ErasedError


async def read_version(session: AsyncSession, tenant_id: str) -> int:
    """Return the tenant's knowledge version; 0 if no document was ever added."""
    version = await session.scalar(
        text("SELECT version FROM knowledge_state WHERE tenant_id = :tenant"), {"tenant": tenant_id}
    )
    return int(version or 0)


async def mark_erasure(session: AsyncSession, tenant_id: str) -> None:
    """Take the tenant's write lock, and refuse from now on what was read before this erasure."""
    await session.execute(_MARK_ERASURE, {"tenant": tenant_id})


_MARK_ERASURE = text("""
    INSERT INTO knowledge_state AS state (tenant_id, version, erased_version)
    VALUES (:tenant, 1, 1)
    ON CONFLICT (tenant_id) DO UPDATE SET version = state.version + 1, erased_version = state.version + 1
""")


async def lock_unless_erased(session: AsyncSession, tenant_id: str, read_at: int) -> None:
    """Take the tenant's write lock. Raises ErasedError if somebody's data was erased after the version ``read_at``."""
    erased = await session.scalar(
        text("SELECT erased_version FROM knowledge_state WHERE tenant_id = :tenant FOR UPDATE"), {"tenant": tenant_id}
    )
    if (erased or 0) > read_at:
        raise ErasedError("A person's data was erased while this was read. Read it again.")


# The row lock of the upsert lasts until the end of the transaction, so writers of one tenant run one after the other.
_INCREMENT = text("""
    INSERT INTO knowledge_state (tenant_id, version)
    VALUES (:tenant, 1)
    ON CONFLICT (tenant_id) DO UPDATE SET version = knowledge_state.version + 1
    RETURNING next_chunk
""")


async def lock_and_increment(session: AsyncSession, tenant_id: str) -> int:
    """Take the tenant's write lock, increment its version, and return the number of the next chunk."""
    return int(await session.scalar(_INCREMENT, {"tenant": tenant_id}) or 0)


async def lock(session: AsyncSession, tenant_id: str) -> None:
    """Take the tenant's write lock: no other transaction adds or deletes chunks until this one ends."""
    await session.execute(
        text("SELECT FROM knowledge_state WHERE tenant_id = :tenant FOR UPDATE"), {"tenant": tenant_id}
    )
