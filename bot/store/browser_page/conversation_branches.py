"""Copies the beginning of a conversation into a branch, where an edited question goes on from it.

A branch is a conversation of its own: its history, memory and deletions need no other one. The copies of turns have the
kind ``COPIED`` and the times of their originals, so that reports count each question once and all expire together.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from bot.store.schema import COPIED
from bot.store.threads import thread_uid
from bot.store.threads import title as title_from
from bot.types.conversation import PRIVATE_THREAD, ThreadKey
from knowledge.store.id_prefixes import full_id

_ASKED = text("""
    SELECT thread_uid, seq FROM turns
    WHERE tenant_id = :tenant AND turn_id = :turn AND platform = :platform AND channel_id = :channel
        AND thread_id NOT LIKE :private AND question <> ''
""")
# Turns are locked in the order of bot.store.database.lock_order, so that none is deleted while it is copied.
_EARLIER = text("""
    SELECT turn_id FROM turns
    WHERE tenant_id = :tenant AND thread_uid = :origin AND seq < :seq AND state = 'done' AND question <> ''
        AND withdrawn_at IS NULL
    ORDER BY thread_uid, seq FOR SHARE
""")
_ADD_THREAD = text("""
    INSERT INTO threads (tenant_id, thread_uid, platform, channel_id, thread_id, title, tier, branch_of, branch_turn)
    SELECT tenant_id, :branch, platform, channel_id, :thread, :title, tier, thread_uid, :turn
    FROM threads WHERE tenant_id = :tenant AND thread_uid = :origin
    ON CONFLICT DO NOTHING
    RETURNING true
""")
_BEGINS_AT = text("""
    SELECT true FROM threads WHERE tenant_id = :tenant AND thread_uid = :branch AND branch_turn = :turn
""")
# RETURNING makes Citus insert the numbered rows without COPY, which row-level security forbids.
# The ID of a copied message begins like that of its original, so that copies are found when the original is deleted.
_COPY_TURNS = text(f"""
    INSERT INTO turns (
        tenant_id, turn_id, thread_uid, platform, channel_id, thread_id, message_id, kind, user_id, user_name,
        user_role, question, wish, fresh, audience, tenant_wide, state, answer, citations, cached, refused, trace,
        created_at, started_at, finished_at, queued_at, edited_at
    )
    SELECT tenant_id, copied.copy, :branch, platform, channel_id, :thread,
        split_part(message_id, ':', 1) || '~' || :thread
            || substr(message_id, 1 + length(split_part(message_id, ':', 1))),
        '{COPIED}', user_id, user_name, user_role, question, wish, fresh, audience, tenant_wide, state, answer,
        citations, cached, refused, trace, created_at, started_at, finished_at, queued_at, edited_at
    FROM turns JOIN unnest(CAST(:originals AS uuid[]), CAST(:copies AS uuid[])) AS copied (original, copy)
        ON turn_id = original
    WHERE tenant_id = :tenant
    ORDER BY seq
    RETURNING true
""")  # noqa: S608
_NOTE = text("""
    INSERT INTO inbox (tenant_id, channel_id, message_id, turn_id)
    SELECT tenant_id, channel_id, message_id, turn_id FROM turns
    WHERE tenant_id = :tenant AND turn_id = ANY(CAST(:copies AS uuid[]))
""")
_COPY_MESSAGES = text("""
    INSERT INTO messages (tenant_id, thread_uid, turn_id, role, author_id, author, text, tokens, created_at)
    SELECT tenant_id, :branch, copied.copy, role, author_id, author, text, tokens, created_at
    FROM messages JOIN unnest(CAST(:originals AS uuid[]), CAST(:copies AS uuid[])) AS copied (original, copy)
        ON turn_id = original
    WHERE tenant_id = :tenant
    ORDER BY seq
    RETURNING true
""")
# The node computes the ID of a copy from immutable functions alone.
_COPY_FACTS = text("""
    INSERT INTO facts (
        tenant_id, fact_id, thread_uid, turn_id, kind, subject, text, author_id, author, said_at, created_at
    )
    SELECT tenant_id, CAST(md5(CAST(fact_id AS text) || CAST(copied.copy AS text)) AS uuid), :branch, copied.copy, kind,
        subject, text, author_id, author, said_at, created_at
    FROM facts JOIN unnest(CAST(:originals AS uuid[]), CAST(:copies AS uuid[])) AS copied (original, copy)
        ON turn_id = original
    WHERE tenant_id = :tenant
""")
_COPY_ATTACHMENTS = text("""
    INSERT INTO attachments (tenant_id, turn_id, position, kind, name, content_type, size, ref, text, people)
    SELECT tenant_id, copied.copy, position, kind, name, content_type, size, ref, text, people
    FROM attachments JOIN unnest(CAST(:originals AS uuid[]), CAST(:copies AS uuid[])) AS copied (original, copy)
        ON turn_id = original
    WHERE tenant_id = :tenant
    ON CONFLICT DO NOTHING
""")


async def begin(session: AsyncSession, *, turn_id: str, branch: ThreadKey, question: str) -> bool:
    """Create a branch that has the answered questions before a turn.

    ``branch`` is its key, in the channel of the turn. Return whether it exists now: one that began at this turn is left
    as it is. Return False if the turn is not one of that channel, if it was deleted, or if another conversation has
    the key.
    """
    turn = full_id(turn_id)
    tenant = {"tenant": branch.tenant_id}
    place = {"platform": branch.platform, "channel": branch.channel_id, "private": f"{PRIVATE_THREAD}%"}
    asked = (await session.execute(_ASKED, {**tenant, **place, "turn": turn})).one_or_none()
    if asked is None:
        return False
    origin = {**tenant, "origin": asked.thread_uid}
    originals = list(await session.scalars(_EARLIER, {**origin, "seq": asked.seq}))
    named = {"branch": thread_uid(branch), "thread": branch.thread_id}
    if not await session.scalar(_ADD_THREAD, {**origin, **named, "turn": turn, "title": title_from(question)}):
        return bool(await session.scalar(_BEGINS_AT, {**tenant, **named, "turn": turn}))
    copying = {**tenant, "originals": originals, "copies": [uuid.uuid4() for _ in originals]}
    await session.execute(_COPY_TURNS, {**copying, **named})
    await session.execute(_NOTE, {**tenant, "copies": copying["copies"]})
    for statement in (_COPY_MESSAGES, _COPY_FACTS):
        await session.execute(statement, {**copying, "branch": named["branch"]})
    await session.execute(_COPY_ATTACHMENTS, copying)
    return True


async def remove_empty(session: AsyncSession, *, branch: ThreadKey) -> None:
    """Delete a branch whose question could not be asked."""
    named = {"tenant": branch.tenant_id, "branch": thread_uid(branch), "kind": COPIED}
    for statement in _REMOVE:
        await session.execute(statement, named)


_ONLY_COPIES = """NOT EXISTS (
        SELECT FROM turns AS asked
        WHERE asked.tenant_id = :tenant AND asked.thread_uid = :branch AND asked.kind <> :kind
    )"""
_REMOVE = (
    text(f"""
        DELETE FROM inbox USING turns
        WHERE inbox.tenant_id = :tenant AND turns.tenant_id = :tenant AND turns.turn_id = inbox.turn_id
            AND inbox.channel_id = turns.channel_id AND inbox.message_id = turns.message_id
            AND turns.thread_uid = :branch AND {_ONLY_COPIES}
    """),  # noqa: S608
    text(f"DELETE FROM threads WHERE tenant_id = :tenant AND thread_uid = :branch AND {_ONLY_COPIES}"),  # noqa: S608
)


@dataclass(frozen=True, slots=True)
class BranchLink:
    """Another conversation, and the turn whose edited question began the branch between the two."""

    turn_id: str
    thread_id: str
    title: str


_ORIGIN = text("""
    SELECT branch.branch_turn, origin.thread_id, origin.title
    FROM threads AS branch JOIN threads AS origin
        ON origin.tenant_id = branch.tenant_id AND origin.thread_uid = branch.branch_of
    WHERE branch.tenant_id = :tenant AND branch.thread_uid = :thread AND origin.title <> ''
""")
_BRANCHES = text("""
    SELECT branch_turn, thread_id, title FROM threads
    WHERE tenant_id = :tenant AND branch_of = :thread AND title <> ''
    ORDER BY created_at, thread_id
""")


async def origin(session: AsyncSession, *, thread: ThreadKey) -> BranchLink | None:
    """Return the conversation that a branch begins like; None if this is no branch, or if that one was deleted."""
    row = (await session.execute(_ORIGIN, {"tenant": thread.tenant_id, "thread": thread_uid(thread)})).one_or_none()
    return None if row is None else BranchLink(str(row[0]), row[1], row[2])


async def branches(session: AsyncSession, *, thread: ThreadKey) -> list[BranchLink]:
    """Return the branches of a conversation, oldest first."""
    rows = await session.execute(_BRANCHES, {"tenant": thread.tenant_id, "thread": thread_uid(thread)})
    return [BranchLink(str(turn), thread_id, title) for turn, thread_id, title in rows]


_COPIES = text("""
    SELECT copied.turn_id
    FROM turns AS asked
    JOIN turns AS copied ON copied.tenant_id = asked.tenant_id AND copied.kind = :kind AND copied.question <> ''
        AND copied.channel_id = asked.channel_id
        AND starts_with(copied.message_id, split_part(asked.message_id, ':', 1) || '~')
    WHERE asked.tenant_id = :tenant AND asked.turn_id = :turn AND copied.question <> :other
""")


async def copies(session: AsyncSession, *, tenant_id: str, turn_id: str, other_than: str = "") -> Sequence[str]:
    """Return the IDs of the copies of a question in branches, also of its repetitions, that are not deleted.

    Those with the text ``other_than`` are left out.
    """
    named = {"tenant": tenant_id, "turn": full_id(turn_id), "kind": COPIED, "other": other_than}
    return [str(one) for one in await session.scalars(_COPIES, named)]
