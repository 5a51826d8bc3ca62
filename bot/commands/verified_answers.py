"""Verifies answers: those that were given, those that a person writes, and again those that are out of date."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from bot.commands import arguments, verified_user_messages
from bot.commands.answer_access import find_answer
from bot.commands.base import Context, Reply
from bot.errors import NotAllowed, UsageError
from bot.store.threads import citations_from
from bot.store.turns import turns
from bot.store.verified_answers import records
from bot.types.conversation import Author, Platform
from bot.types.display import Citation
from bot.types.verified_answers import VerifiedAnswer
from knowledge.store import document_catalog, document_names
from knowledge.types.scope import TENANT_AUDIENCE

WITHOUT_CHANNELS = frozenset(("web", "console"))
"""Platforms whose documents are for everybody."""
QUOTED_CHARS = 200
"""Characters that a citation quotes of a document that a person names as the source."""
SHORT_CHARS = 8
_MARKERS = re.compile(r"\s*\[(\d+(?:,\s*\d+)*)\]")


@dataclass(frozen=True, slots=True)
class Draft:
    """An answer to verify. ``sources`` name documents as ``/docs`` does; ``also`` are other forms of the question."""

    question: str
    answer: str
    also: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    audience: str = TENANT_AUDIENCE
    expires_at: datetime | None = None


async def verify(context: Context, words: Sequence[str], *, for_everyone: bool, until: str | None) -> Reply:
    """Verify an answer that was given, or a verified one again. Raises UsageError, NotAllowed.

    Admins may, and people who added every document that it cites; again also its owner.
    """
    services, by, typed = context.services, context.author, " ".join(words)
    expires = expiry(until, services.clock(), default_days=services.settings.verified_days)
    async with services.database.tenant(context.tenant_id) as session:
        known = await records.find(session, tenant_id=context.tenant_id, typed=typed) if typed else None
    if known is not None:
        if by.id != known.owner_id:
            if not context.may_read(known.audience):
                raise UsageError(verified_user_messages.unknown(typed))
            await _check_expert(context, known.citations)
        await renew(context, known, expires)
        return Reply(verified_user_messages.verified(known.id[:SHORT_CHARS], expires))
    row = await find_answer(context, "docs verify", typed)
    await _check_expert(context, citations_from(row.citations))
    if for_everyone and not by.is_admin:
        raise NotAllowed(verified_user_messages.FOR_EVERYONE_ADMIN)

    async def store(session: AsyncSession) -> VerifiedAnswer:
        return await add_turn(
            session,
            row,
            platform=context.platform,
            owner=by,
            for_everyone=for_everyone,
            now=services.clock(),
            expires=expires,
        )

    added = await services.database.run(context.tenant_id, store)
    return Reply(verified_user_messages.verified(added.id[:SHORT_CHARS], expires))


async def _check_expert(context: Context, citations: Sequence[Citation]) -> None:
    if context.author.is_admin:
        return
    async with context.services.database.tenant(context.tenant_id) as session:
        is_expert = await records.owns_every_document(
            session, tenant_id=context.tenant_id, citations=citations, person=context.author.id
        )
    if not is_expert:
        raise NotAllowed(verified_user_messages.NOT_AN_EXPERT)


async def renew(context: Context, known: VerifiedAnswer, expires: datetime | None) -> None:
    """Record that the user verified the answer again."""
    by, services = context.author, context.services

    async def store(session: AsyncSession) -> None:
        await records.renew(
            session,
            tenant_id=context.tenant_id,
            known=known,
            platform=context.platform,
            owner=(by.id, by.name),
            now=services.clock(),
            expires_at=expires,
        )

    await services.database.run(context.tenant_id, store)


async def add_turn(
    session: AsyncSession,
    row: Any,
    *,
    platform: Platform,
    owner: Author,
    for_everyone: bool,
    now: datetime,
    expires: datetime | None,
    answer: str | None = None,
    also: Sequence[str] = (),
) -> VerifiedAnswer:
    """Verify the answer of a turn, or the text ``answer`` in its place, for its channel or for everybody.

    ``also`` are other forms of its question. Raises UsageError if the answer is not complete, or if everybody would
    read what rests on the documents of a channel.
    """
    if row.state != "done" or not row.answer or row.refused:
        raise UsageError(verified_user_messages.NOTHING_TO_VERIFY)
    everybody = for_everyone or row.platform in WITHOUT_CHANNELS
    citations = citations_from(row.citations)
    if everybody:
        await _check_for_everybody(session, row.tenant_id, citations)
    text, kept = with_citations(row.answer if answer is None else answer, citations)
    new = VerifiedAnswer(
        id=records.new_id(),
        questions=_questions(row.question, also),
        answer=text,
        citations=kept,
        audience=TENANT_AUDIENCE if everybody else row.channel_id,
        tenant_wide=everybody or row.tenant_wide,
        platform=platform,
        owner_id=owner.id,
        owner_name=owner.name,
        verified_at=now,
        expires_at=expires,
        turn_id=str(row.turn_id),
    )
    await records.add(session, tenant_id=row.tenant_id, new=new)
    return new


async def add_answer_of(session: AsyncSession, turn_id: str, *, tenant_id: str, **details: Any) -> VerifiedAnswer:
    """Verify the answer of the turn with this ID; see ``add_turn`` for the ``details``. Raises UsageError."""
    row = await turns.row_of(session, tenant_id=tenant_id, turn_id=turn_id)
    if row is None:
        raise UsageError(verified_user_messages.unknown_turn(turn_id))
    return await add_turn(session, row, **details)


async def add_written(
    session: AsyncSession, draft: Draft, *, tenant_id: str, platform: Platform, owner: Author, now: datetime
) -> VerifiedAnswer:
    """Store an answer that a person wrote. Raises UsageError, and KnowledgeError for an unknown source."""
    if not draft.question.strip() or not draft.answer.strip():
        raise UsageError(verified_user_messages.EMPTY_ANSWER)
    named = [await document_names.find(session, tenant_id, name) for name in draft.sources]
    cited = [await _citation(session, tenant_id, n, one) for n, one in enumerate(dict.fromkeys(named), 1)]
    if draft.audience == TENANT_AUDIENCE:
        await _check_for_everybody(session, tenant_id, cited)
    text, kept = with_citations(draft.answer, cited)
    audiences = await records.cited_audiences(session, tenant_id=tenant_id, citations=kept)
    new = VerifiedAnswer(
        id=records.new_id(),
        questions=_questions(draft.question, draft.also),
        answer=text,
        citations=kept,
        audience=draft.audience,
        tenant_wide=TENANT_AUDIENCE in (draft.audience, *audiences),
        platform=platform,
        owner_id=owner.id,
        owner_name=owner.name,
        verified_at=now,
        expires_at=draft.expires_at,
    )
    await records.add(session, tenant_id=tenant_id, new=new)
    return new


async def _check_for_everybody(session: AsyncSession, tenant_id: str, citations: Sequence[Citation]) -> None:
    stored = await records.current_titles(session, tenant_id=tenant_id, citations=citations)
    if len(stored) < len(records.document_ids(citations)):
        # Nobody knows any more who could read it.
        raise UsageError(verified_user_messages.cites_deleted_documents())
    audiences = await records.cited_audiences(session, tenant_id=tenant_id, citations=citations)
    if audiences - {TENANT_AUDIENCE}:
        raise UsageError(verified_user_messages.cites_channel_documents())


async def _citation(session: AsyncSession, tenant_id: str, n: int, document_id: str) -> Citation:
    found = await document_catalog.show(session, tenant_id, document_id, max_chars=QUOTED_CHARS)
    return Citation(n, found.row.source, found.row.title, found.text, found.row.id, start=0, end=len(found.text))


def with_citations(answer: str, citations: Sequence[Citation]) -> tuple[str, tuple[Citation, ...]]:
    """Return the answer and the citations that it marks, such as ``[1]``; all at its end if it marks none.

    A marker without a citation is removed.
    """
    known = {one.n for one in citations}
    marked: set[int] = set()

    def checked(found: re.Match[str]) -> str:
        numbers = [int(one) for one in re.split(r",\s*", found[1])]
        if not known.intersection(numbers):
            return ""
        marked.update(numbers)
        return found[0]

    text = _MARKERS.sub(checked, answer.strip())
    if citations and not marked:
        return f"{text} {''.join(f'[{one.n}]' for one in citations)}", tuple(citations)
    return text, tuple(one for one in citations if one.n in marked)


def _questions(question: str, also: Sequence[str]) -> tuple[str, ...]:
    given = (" ".join(one.split()) for one in (question, *also))
    return tuple(dict.fromkeys(one for one in given if one))


def expiry(typed: str | None, now: datetime, *, default_days: int) -> datetime | None:
    """Return the end of the day or period; None for ``never``, and for ``default_days`` 0 if nothing is typed.

    Raises UsageError.
    """
    if typed is None or not typed.strip():
        return now + timedelta(days=default_days) if default_days else None
    word = typed.strip().lower()
    if word == "never":
        return None
    try:
        end = datetime.combine(date.fromisoformat(word), time.max, UTC)
    except ValueError:
        if not arguments.is_interval(word):
            raise UsageError(verified_user_messages.not_a_day(typed)) from None
        return now + timedelta(seconds=arguments.interval(word) or 0)
    if end <= now:
        raise UsageError(verified_user_messages.PAST_EXPIRY)
    return end
