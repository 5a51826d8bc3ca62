"""Saves answers to the documents, with an admin's approval: ``/docs save ID``, and the notice that proposes it.

The notice has a second button, which verifies the answer in place of saving it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from bot.commands import docs_user_messages, verified_user_messages
from bot.commands.admin_notices import AdminMessenger, ButtonNotice, NoticeButton, is_told, tell_admins
from bot.commands.answer_access import find_answer
from bot.commands.base import Context, Reply
from bot.commands.ingest import follow_runs
from bot.commands.services import Services
from bot.commands.verified_answers import WITHOUT_CHANNELS
from bot.engine.dispatch.permissions import with_granted_role
from bot.errors import NotAllowed, UsageError
from bot.store.turns import turns
from bot.types.conversation import Author, ThreadKey
from bot.types.turns import Turn
from knowledge.sources.files import UploadSource
from knowledge.types.scope import TENANT_AUDIENCE

_PROPOSED_PREFIX = "save:"
"""Prefix of the inbox entry that marks an answer as proposed; the turn's ID follows."""
SHOWN_CHARS = 600
"""The most characters of the answer in the notice to admins."""
ID_CHARS = 8


async def save(context: Context, words: Sequence[str], *, for_everyone: bool) -> Reply:
    """Add an answer to the documents of the channel in which it was asked, or of everybody.

    Raises UsageError, and NotAllowed unless the user is an admin.
    """
    if not context.author.is_admin:
        raise NotAllowed(docs_user_messages.SAVE_ADMIN)
    row = await find_answer(context, "docs save", " ".join(words))
    if row.state != "done" or not row.answer or row.refused:
        raise UsageError(docs_user_messages.NOTHING_TO_SAVE)
    everybody = for_everyone or row.platform in WITHOUT_CHANNELS
    text = _document(row).encode()

    async def read() -> bytes:
        return text

    name = docs_user_messages.saved_answer_name(str(row.turn_id)[:ID_CHARS])
    run = await context.services.ingestion.begin(
        context.tenant_id,
        UploadSource(name, read, content_type="text/markdown"),
        audience=TENANT_AUDIENCE if everybody else row.channel_id,
        asked_by=context.author.id,
        replaces_others=True,
        limited=False,
    )
    return await follow_runs(context, [run], [], here=not everybody)


async def propose(services: Services, messenger: AdminMessenger, turn: Turn, by: Author) -> None:
    """Ask admins, once for each answer, whether to save it; an admin who proposes it is asked alone.

    Private answers and answers that are not complete are not proposed. Raises ParleyError, StoreAway.
    """
    thread, tenant_id = turn.thread, turn.thread.tenant_id
    key = f"{_PROPOSED_PREFIX}{turn.id}"

    async def claim(session: AsyncSession) -> Any:
        row = await turns.row_of(session, tenant_id=tenant_id, turn_id=turn.id)
        is_complete = row is not None and row.state == "done" and row.answer and not row.refused
        return row if is_complete and await turns.first(session, thread=thread, message_id=key) else None

    if thread.private:
        return
    row = await services.database.run(tenant_id, claim)
    if row is None:
        return
    notice = _notice(row, by)
    if (await with_granted_role(services.stores.settings, by, tenant_id)).is_admin:
        is_sent = await is_told(messenger, tenant_id, by.id, notice)
    else:
        is_sent = await tell_admins(services, messenger, tenant_id, notice)
    if not is_sent:
        await services.database.run(tenant_id, lambda session: _withdraw(session, thread, key))


async def _withdraw(session: AsyncSession, thread: ThreadKey, key: str) -> None:
    await turns.not_first(session, thread=thread, message_id=key)


def _notice(row: Any, by: Author) -> ButtonNotice:
    answer = row.answer if len(row.answer) <= SHOWN_CHARS else f"{row.answer[:SHOWN_CHARS]}…"
    short = str(row.turn_id)[:ID_CHARS]
    return ButtonNotice(
        text=docs_user_messages.save_proposal(by.name or by.id, row.question, answer),
        buttons=(
            NoticeButton(docs_user_messages.SAVE_ANSWER, "save", str(row.turn_id)),
            NoticeButton(verified_user_messages.VERIFY_ANSWER, "verify", str(row.turn_id)),
        ),
        elsewhere=" ".join((docs_user_messages.how_to_save(short), verified_user_messages.how_to_verify(short))),
    )


def _document(row: Any) -> str:
    """Return the question, the answer and its sources as Markdown."""
    sources = [f"- [{one['n']}] {one['title'] or one['source']} ({one['source']})" for one in row.citations]
    title = " ".join(row.question.split())
    parts = [f"# {title}", row.answer, "\n".join(sources), docs_user_messages.SAVED_ANSWER_NOTE]
    return "\n\n".join(part for part in parts if part)
