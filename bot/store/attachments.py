"""What stands beside questions: attached files, read once, and the thread above the first one."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from sqlalchemy import case, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from bot.store import threads
from bot.store.tables import attachments, turns
from bot.types import Attached, Attachment, Turn


async def add(session: AsyncSession, *, tenant_id: str, turn_id: uuid.UUID, files: Sequence[Attachment]) -> None:
    """Note the files of a question that has just been stored."""
    rows = [
        {
            "tenant_id": tenant_id,
            "turn_id": turn_id,
            "position": position,
            "kind": "file",
            "name": file.name,
            "content_type": file.content_type,
            "size": file.size,
            "ref": file.ref,
        }
        for position, file in enumerate(files)
        if file.ref
    ]
    if rows:
        await session.execute(insert(attachments).values(rows))


async def of_thread(session: AsyncSession, *, turn: Turn) -> list[Attached]:
    """What stands beside the turn and the turns before it in its thread, oldest first.

    Files of a turn that asked the very same count as the turn's own: it is being asked again.
    """
    own = turns.c.turn_id == uuid.UUID(turn.id)
    rows = await session.execute(
        select(attachments, case((own | (turns.c.question == turn.question), True), else_=False).label("own"))
        .join(turns, (turns.c.tenant_id == attachments.c.tenant_id) & (turns.c.turn_id == attachments.c.turn_id))
        .where(
            attachments.c.tenant_id == turn.thread.tenant_id,
            turns.c.thread_uid == threads.thread_uid(turn.thread),
            turns.c.seq
            <= select(turns.c.seq)
            .where(turns.c.tenant_id == turn.thread.tenant_id, turns.c.turn_id == uuid.UUID(turn.id))
            .scalar_subquery(),
        )
        .order_by(turns.c.seq, attachments.c.position)
    )
    return [
        Attached(
            turn_id=str(row.turn_id),
            position=row.position,
            kind=row.kind,
            name=row.name,
            content_type=row.content_type,
            size=row.size,
            ref=row.ref,
            text=row.text,
            people=tuple(row.people),
            own=row.own,
        )
        for row in rows
    ]


async def keep(session: AsyncSession, *, tenant_id: str, attached: Attached) -> None:
    """Write down what was read; once, whoever reads it first."""
    statement = insert(attachments).values(
        tenant_id=tenant_id,
        turn_id=uuid.UUID(attached.turn_id),
        position=attached.position,
        kind=attached.kind,
        name=attached.name,
        content_type=attached.content_type,
        size=attached.size,
        ref=attached.ref,
        text=attached.text,
        people=list(attached.people),
    )
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=["tenant_id", "turn_id", "position"],
            set_={"text": statement.excluded.text},
            where=attachments.c.text.is_(None),
        )
    )
