"""Stores attachments of questions, and the thread above the first question of a thread."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from sqlalchemy import UUID, bindparam, case, false, select, true
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from bot.store import threads
from bot.store.database.pipelined_transactions import Statement, Template
from bot.store.schema import attachments, turns
from bot.types.conversation import Attachment, StoredAttachment
from bot.types.turns import Turn

_NOTE = """
INSERT INTO attachments (tenant_id, turn_id, position, kind, name, content_type, size, ref)
SELECT tenant_id, turn_id, %(position)s, %(kind)s, %(name)s, %(content_type)s, %(size)s, %(ref)s
FROM turns WHERE tenant_id = %(tenant)s AND turn_id = %(turn)s
"""
"""One row for each file of a question, if the question was stored in this transaction."""


def noting(*, tenant_id: str, turn_id: uuid.UUID, files: Sequence[Attachment]) -> list[Statement]:
    """Record the files of a question stored in the same transaction; none if it was stored before."""
    return [
        Statement(
            _NOTE,
            {
                "tenant": tenant_id,
                "turn": turn_id,
                "position": position,
                "kind": file.kind,
                "name": file.name,
                "content_type": file.content_type,
                "size": file.size,
                "ref": file.ref,
            },
        )
        for position, file in enumerate(files)
        if file.ref
    ]


_COPY = """
INSERT INTO attachments (tenant_id, turn_id, position, kind, name, content_type, size, ref, text, people)
SELECT asked.tenant_id, asked.turn_id, position, earlier.kind, name, content_type, size, ref, text, people
FROM turns AS asked JOIN attachments AS earlier ON earlier.tenant_id = asked.tenant_id AND earlier.turn_id = %(from)s
WHERE asked.tenant_id = %(tenant)s AND asked.turn_id = %(turn)s
"""


def copying(*, tenant_id: str, turn_id: uuid.UUID, from_turn: str) -> Statement:
    """Give a question that is stored in the same transaction the attachments of an earlier one, with their texts."""
    return Statement(_COPY, {"tenant": tenant_id, "turn": turn_id, "from": uuid.UUID(from_turn)})


def of_thread_read(turn: Turn) -> Statement:
    """Return the statement that reads the attachments of the turn and of earlier turns in its thread.

    ``of_thread_in`` takes its rows. Files of an earlier turn with the same question count as the turn's own, because
    the question is being asked again.
    """
    return _OF_THREAD(
        tenant=turn.thread.tenant_id,
        thread=threads.thread_uid(turn.thread),
        turn=uuid.UUID(turn.id),
        asked=turn.question,
    )


def of_thread_in(rows: Sequence[Any]) -> list[StoredAttachment]:
    """Return the attachments from their rows, oldest first."""
    return [
        StoredAttachment(
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


def _of_thread() -> Template:
    own = turns.c.turn_id == bindparam("turn", type_=UUID())
    seq = select(turns.c.seq).where(turns.c.tenant_id == bindparam("tenant"), own).scalar_subquery()
    return Template(
        select(attachments, case((own | (turns.c.question == bindparam("asked")), true()), else_=false()).label("own"))
        .join(turns, (turns.c.tenant_id == attachments.c.tenant_id) & (turns.c.turn_id == attachments.c.turn_id))
        .where(
            attachments.c.tenant_id == bindparam("tenant"),
            turns.c.thread_uid == bindparam("thread", type_=UUID()),
            turns.c.seq <= seq,
        )
        .order_by(turns.c.seq, attachments.c.position)
    )


_OF_THREAD = _of_thread()


async def keep(session: AsyncSession, *, tenant_id: str, attached: StoredAttachment) -> None:
    """Store the text read from an attachment.

    Nothing changes if it is already stored, or if the question was deleted meanwhile.
    """
    turn_id = uuid.UUID(attached.turn_id)
    asked = select(turns.c.question).where(turns.c.tenant_id == tenant_id, turns.c.turn_id == turn_id)
    if not await session.scalar(asked.with_for_update(read=True)):
        return
    statement = insert(attachments).values(
        tenant_id=tenant_id,
        turn_id=turn_id,
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
            set_={"text": statement.excluded.text, "people": statement.excluded.people},
            where=attachments.c.text.is_(None),
        )
    )
