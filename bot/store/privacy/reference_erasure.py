"""Removes a person's ID and names from data that belongs to other people or to the tenant."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from bot.store.database.pipelined_transactions import Statement, send

ERASED_MENTION = "@erased"
MIN_NAME_CHARS = 3

_TENANT_ADMINS = """
    UPDATE tenants SET settings = jsonb_set(settings, '{admins}', (settings -> 'admins') - CAST(%(user)s AS text))
    WHERE tenant_id = %(tenant)s AND settings -> 'admins' ? %(user)s
"""

_INSTALLERS = """
    UPDATE slack_installations SET installed_by = '' WHERE tenant_id = %(tenant)s AND installed_by = %(user)s
"""

_NOTED = """EXISTS (
        SELECT FROM unnest(CAST(%(words)s AS text[])) AS word
        WHERE position(word IN coalesce(trace ->> 'notes', '') || coalesce(trace ->> 'restarts', '')) > 0
    )"""
"""Notes of answers name people who may know more, and who verified the answer."""

_VERIFIED = "coalesce(trace -> 'verified' ->> 'owner' = ANY(CAST(%(owners)s AS text[])), false)"
"""The trace of an answer that was verified names its owner, or has the owner's ID if there is no name."""

_NOTES = f"""
    UPDATE turns
    SET trace = trace - 'notes' - 'restarts'
    WHERE tenant_id = %(tenant)s AND ({_NOTED} OR {_VERIFIED})
"""  # noqa: S608
_OWNERS = f"""
    UPDATE turns
    SET trace = jsonb_set(trace, '{{verified,owner}}', to_jsonb(CAST(%(erased)s AS text)))
    WHERE tenant_id = %(tenant)s AND {_VERIFIED}
"""  # noqa: S608

_MENTIONED = "(position(%(mention)s IN {column}) > 0 OR position(%(nick_mention)s IN {column}) > 0)"
"""Slack writes a mention as ``<@U1>``, Discord also as ``<@!1>``."""

_MENTIONS = f"""
    UPDATE {{table}}
    SET {{column}} = replace(replace({{column}}, %(mention)s, %(erased)s), %(nick_mention)s, %(erased)s)
    WHERE tenant_id = %(tenant)s AND {_MENTIONED}
"""  # noqa: S608

_MENTION_COLUMNS = (
    ("turns", "question"),
    ("turns", "answer"),
    ("messages", "text"),
    ("threads", "title"),
    ("threads", "summary"),
    ("answers", "answer"),
    ("answers", "question"),
    ("verified_answers", "answer"),
    ("verified_questions", "question"),
    ("facts", "text"),
    ("feedback", "reason"),
    ("attachments", "text"),
)


def turns_naming(tenant_id: str, user_id: str, names: Sequence[str]) -> Statement:
    """Return the statement whose rows have the ``turn_id`` of each turn that ``erase`` changes."""
    mentioned = " OR ".join(_MENTIONED.format(column=column) for table, column in _MENTION_COLUMNS if table == "turns")
    found = f"SELECT turn_id FROM turns WHERE tenant_id = %(tenant)s AND ({_NOTED} OR {_VERIFIED} OR {mentioned})"  # noqa: S608
    return Statement(found, _values(tenant_id, user_id, names))


def threads_naming(tenant_id: str, user_id: str) -> Statement:
    """Return the statement whose rows have the ``thread_uid`` of each thread that ``erase`` changes."""
    mentioned = " OR ".join(
        _MENTIONED.format(column=column) for table, column in _MENTION_COLUMNS if table == "threads"
    )
    found = f"SELECT thread_uid FROM threads WHERE tenant_id = %(tenant)s AND ({mentioned})"  # noqa: S608
    return Statement(found, _values(tenant_id, user_id, ()))


async def erase(session: AsyncSession, *, tenant_id: str, user_id: str, names: Sequence[str], pseudonym: str) -> int:
    """Remove the person from the tenant's settings, from notes and traces, and from mentions in other people's texts.

    The caller has locked the turns and threads (``turns_naming``, ``threads_naming``). Return how many rows changed.
    """
    values = _values(tenant_id, user_id, names)
    statements = [_TENANT_ADMINS, _INSTALLERS, _NOTES, _OWNERS]
    statements += [_MENTIONS.format(table=table, column=column) for table, column in _MENTION_COLUMNS]
    changed = await send(session, *(Statement(f"{one} RETURNING 1 AS changed", values) for one in statements))
    return sum(map(len, changed))


def _values(tenant_id: str, user_id: str, names: Sequence[str]) -> dict[str, object]:
    return {
        "tenant": tenant_id,
        "user": user_id,
        "owners": [user_id, *names],
        "words": [word for word in (user_id, *names) if len(word) >= MIN_NAME_CHARS],
        "mention": f"<@{user_id}>",
        "nick_mention": f"<@!{user_id}>",
        "erased": ERASED_MENTION,
    }
