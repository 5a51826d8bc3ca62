"""Erases everything stored about one person.

Erasing removes questions and their answers, cached answers, summaries of the person's threads, ratings, limits, the
person's messages in indexed channels, what answers to other people quote of them, and mentions of the person's ID. The
ledger's rows are kept, because the totals must stay correct, under a pseudonym that cannot be traced to the person.
Answers that the person verified belong to the team and are kept under it too, unless they were made from the person's
own questions.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Literal

from sqlalchemy import Delete, Update, delete, exists, func, select, union, update
from sqlalchemy.ext.asyncio import AsyncSession

from bot.errors import UsageError
from bot.store import admin_changes
from bot.store.browser_page import conversation_files, page_commands
from bot.store.budgets import ledger_days
from bot.store.budgets.budget_counters import of_user
from bot.store.budgets.ledger import SUMMED_AFTER_CHANGE
from bot.store.database import lock_order
from bot.store.database.pipelined_transactions import Statement, send
from bot.store.privacy import erased_documents, reference_erasure
from bot.store.schema import (
    added_days,
    attachments,
    budget_days,
    budgets,
    facts,
    feedback,
    inbox,
    ledger,
    messages,
    reservations,
    threads,
    turns,
    verified_answers,
)
from bot.store.schema import ledger_days as sums
from bot.store.turns import turn_queue
from bot.store.turns.question_changes import forget_in_traces
from knowledge import bm25
from knowledge.store import message_erasure, upload_records

ERASED_TITLE = "(erased)"
DocumentsChoice = Literal["delete", "keep"]


class UndecidedDocuments(UsageError):
    """The person uploaded documents, and the request does not say what becomes of them."""

    def __init__(self, count: int) -> None:
        super().__init__(
            f"This person uploaded {count} {'document' if count == 1 else 'documents'}. Say whether they are deleted "
            "too, or kept and handed to the admins."
        )
        self.count = count


async def erase(
    session: AsyncSession, *, tenant_id: str, user_id: str, documents: DocumentsChoice | None = None
) -> dict[str, int]:
    """Erase the person in this tenant. Return how much of each kind was deleted or renamed.

    ``documents`` says what becomes of the documents that the person uploaded: ``delete`` erases them, ``keep`` hands
    them to the admins. Raises UsageError if there are such documents and it is None.
    """
    uploads = await upload_records.uploads_by(session, tenant_id=tenant_id, user_id=user_id)
    if uploads and documents is None:
        raise UndecidedDocuments(len(uploads))
    await ledger_days.hold(session, tenant_id)
    names = await _names(session, tenant_id, user_id)
    touched = await _touched_threads(session, tenant_id, user_id)
    quoted = await _quoted_documents(session, tenant_id, user_id, uploads if documents == "delete" else [])
    await _lock(session, tenant_id, user_id, touched, names, quoted)
    await send(session, turn_queue.telling_erased(tenant_id=tenant_id, user_id=user_id))
    nobody = f"erased:{uuid.uuid4().hex}"
    erased = [upload.source_id for upload in uploads]
    kept = await erased_documents.namesakes(session, tenant_id=tenant_id, names=quoted, erased=erased)
    done = {"quotes": await erased_documents.forget_quotes(session, tenant_id=tenant_id, names=quoted, kept=kept)}
    for name, statement in _statements(tenant_id, user_id, nobody).items():
        done[name] = (await session.execute(statement)).rowcount  # type: ignore[attr-defined]
    done["page_files"] = await conversation_files.erase(session, tenant_id=tenant_id, user_id=user_id)
    done["documents"] = await message_erasure.erase_messages(session, tenant_id=tenant_id, user_id=user_id)
    done["sources"] = await upload_records.forget_person(
        session, tenant_id=tenant_id, user_id=user_id, pseudonym=nobody
    )
    if documents == "delete":
        done["documents"] += await upload_records.delete_uploads(session, tenant_id=tenant_id, uploads=uploads)
    if done["documents"]:
        await bm25.sweep_dead(session, tenant_id)
    done["mentions"] = await reference_erasure.erase(
        session, tenant_id=tenant_id, user_id=user_id, names=names, pseudonym=nobody
    )
    done["threads"] = await _forget_threads(session, tenant_id, touched)
    if any(done.values()) or await page_commands.wrote(session, tenant_id=tenant_id, author_id=user_id):
        # A reply may quote anybody. For an ID of which nothing is stored, as one with a typing error, all stay.
        done["page_files"] += await conversation_files.erase_replies(session, tenant_id=tenant_id)
        done["page_commands"] = await page_commands.erase(session, tenant_id=tenant_id)
    return done


def _statements(tenant_id: str, user_id: str, pseudonym: str) -> dict[str, Delete | Update]:
    """Return the statements that delete the person's rows, or put a pseudonym into those that must stay, in order."""
    own = select(turns.c.turn_id).where(turns.c.tenant_id == tenant_id, turns.c.user_id == user_id)
    return {
        "facts": delete(facts).where(facts.c.tenant_id == tenant_id, facts.c.author_id == user_id),
        "feedback": delete(feedback).where(feedback.c.tenant_id == tenant_id, feedback.c.user_id == user_id),
        "attachments": delete(attachments).where(
            attachments.c.tenant_id == tenant_id,
            attachments.c.turn_id.in_(own) | attachments.c.people.contains([user_id]),
        ),
        "messages": delete(messages).where(
            messages.c.tenant_id == tenant_id, messages.c.turn_id.in_(own) | (messages.c.author_id == user_id)
        ),
        "inbox": delete(inbox).where(inbox.c.tenant_id == tenant_id, inbox.c.turn_id.in_(own)),
        "answers_verified": delete(verified_answers).where(
            verified_answers.c.tenant_id == tenant_id, verified_answers.c.turn_id.in_(own)
        ),
        "turns": delete(turns).where(turns.c.tenant_id == tenant_id, turns.c.user_id == user_id),
        "added_days": delete(added_days).where(added_days.c.tenant_id == tenant_id, added_days.c.user_id == user_id),
        "limits": delete(budgets).where(budgets.c.tenant_id == tenant_id, budgets.c.subject == of_user(user_id)),
        "limits_set": update(budgets)
        .where(budgets.c.tenant_id == tenant_id, budgets.c.set_by == user_id)
        .values(set_by=pseudonym),
        **admin_changes.forgetting(tenant_id=tenant_id, user_id=user_id, subject=of_user(user_id), pseudonym=pseudonym),
        "calls": update(ledger)
        .where(ledger.c.tenant_id == tenant_id, ledger.c.user_id == user_id)
        .values(user_id=pseudonym, turn_id=None, thread_uid=None, summed=SUMMED_AFTER_CHANGE),
        "daily_sums": delete(sums).where(
            sums.c.tenant_id == tenant_id, sums.c.dimension == "user", sums.c.key == user_id
        ),
        "reservations": delete(reservations).where(
            reservations.c.tenant_id == tenant_id, reservations.c.subject == of_user(user_id)
        ),
        "budget_days": update(budget_days)
        .where(budget_days.c.tenant_id == tenant_id, budget_days.c.subject == of_user(user_id))
        .values(subject=pseudonym),
        "answers_owned": update(verified_answers)
        .where(verified_answers.c.tenant_id == tenant_id, verified_answers.c.owner_id == user_id)
        .values(owner_id=pseudonym, owner_name=""),
    }


async def _quoted_documents(
    session: AsyncSession, tenant_id: str, user_id: str, uploads: Sequence[upload_records.Upload]
) -> list[str]:
    """Return the names of the uploads, and of documents with the person's messages in indexed channels."""
    posts = await message_erasure.messages_by(session, tenant_id=tenant_id, user_id=user_id)
    return sorted({post["document"] for post in posts} | {name for upload in uploads for name in upload.documents})


async def _names(session: AsyncSession, tenant_id: str, user_id: str) -> list[str]:
    """Return the names under which the person asked, wrote or verified answers."""
    named = (
        (turns, turns.c.user_name, turns.c.user_id),
        (messages, messages.c.author, messages.c.author_id),
        (facts, facts.c.author, facts.c.author_id),
        (verified_answers, verified_answers.c.owner_name, verified_answers.c.owner_id),
    )
    found = await session.scalars(
        union(*(select(name).where(table.c.tenant_id == tenant_id, person == user_id) for table, name, person in named))
    )
    return [name for name in found if name.strip()]


async def _touched_threads(session: AsyncSession, tenant_id: str, user_id: str) -> list[uuid.UUID]:
    """Return the threads with a question, a fact or an earlier message of the person."""
    asked = select(turns.c.thread_uid).where(turns.c.tenant_id == tenant_id, turns.c.user_id == user_id)
    stated = select(facts.c.thread_uid).where(facts.c.tenant_id == tenant_id, facts.c.author_id == user_id)
    read = (
        select(turns.c.thread_uid)
        .join(attachments, (attachments.c.tenant_id == turns.c.tenant_id) & (attachments.c.turn_id == turns.c.turn_id))
        .where(turns.c.tenant_id == tenant_id, attachments.c.people.contains([user_id]))
    )
    return list(await session.scalars(asked.union(stated, read)))


async def _lock(
    session: AsyncSession,
    tenant_id: str,
    user_id: str,
    touched: Sequence[uuid.UUID],
    names: Sequence[str],
    quoted: Sequence[str],
) -> None:
    """Lock every turn and thread that the erasure changes or deletes, in the order of ``lock_order``.

    After this, no summary of the person's messages is stored.
    """
    (mentioning,) = await send(session, reference_erasure.turns_naming(tenant_id, user_id, names))
    quoting = await erased_documents.turns_quoting(session, tenant_id=tenant_id, names=quoted)
    changed = {
        "tenant": tenant_id,
        "user": user_id,
        "threads": list(touched),
        "turns": [row.turn_id for row in (*mentioning, *quoting)],
    }
    (locked,) = await send(session, Statement(_LOCK_TURNS, changed))
    (named,) = await send(session, reference_erasure.threads_naming(tenant_id, user_id))
    others = {row.thread_uid for row in (*locked, *named)}
    await send(session, Statement(lock_order.THREADS_TO_DELETE, {**changed, "threads": list(others.union(touched))}))


_LOCK_TURNS = lock_order.turns_where(
    "tenant_id = %(tenant)s AND (user_id = %(user)s OR turn_id = ANY(%(turns)s) "
    "OR thread_uid = ANY(%(threads)s) AND trace <> '{}')",
    "UPDATE",
)


async def _forget_threads(session: AsyncSession, tenant_id: str, touched: list[uuid.UUID]) -> int:
    """Delete threads without a turn; clear title and summary of the others, which may quote the person."""
    there = exists().where(turns.c.tenant_id == threads.c.tenant_id, turns.c.thread_uid == threads.c.thread_uid)
    mine = (threads.c.tenant_id == tenant_id) & threads.c.thread_uid.in_(touched)
    gone = await session.execute(delete(threads).where(mine, ~there).returning(threads.c.thread_uid))
    await forget_in_traces(session, tenant_id, touched)
    await session.execute(
        update(threads).where(mine).values(title=ERASED_TITLE, summary="", summary_upto=0, updated_at=func.now())
    )
    return len(gone.all())
