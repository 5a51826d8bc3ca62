"""The ``parley verified`` commands: list, add and remove answers that a person has verified."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bot.cli import user_messages
from bot.cli.command_runtime import ensure_tenant, require_tenant, settings, with_database, with_tenant
from bot.cli.options import data_options
from bot.cli.output import echo, print_data, print_json
from bot.cli.parameter_types import FilePath, Identifier
from bot.commands import verified_user_messages
from bot.errors import ParleyError, UsageError
from knowledge.types.scope import TENANT_AUDIENCE

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

    from bot.store.database.session import Database
    from bot.types.verified_answers import VerifiedAnswer


@click.group()
def verified() -> None:
    """List, add and remove verified answers, which are given before documents are searched."""


@verified.command(name="list")
@data_options
def list_command(tenant: str, as_json: bool) -> None:
    """List the verified answers, also those that are out of date."""

    async def load(session: AsyncSession) -> list[VerifiedAnswer]:
        from bot.store.verified_answers import records

        return await records.every(session, tenant_id=tenant)

    found = with_tenant(tenant, load)
    columns = ("id", "question", "answer", "audience", "owner", "verified", "until", "state")
    rows = [
        (
            one.id[:8],
            one.questions[0],
            one.answer,
            one.audience,
            one.owner_name or one.owner_id,
            f"{one.verified_at:%Y-%m-%d}",
            f"{one.expires_at:%Y-%m-%d}" if one.expires_at else "-",
            one.stale or "in force",
        )
        for one in found
    ]
    print_data([_as_json(one) for one in found], columns, rows, as_json=as_json)


def _as_json(known: VerifiedAnswer) -> dict[str, Any]:
    return {
        "id": known.id[:8],
        "questions": known.questions,
        "answer": known.answer,
        "sources": [one.source for one in known.citations],
        "audience": known.audience,
        "owner": known.owner_name or known.owner_id,
        "verified_at": known.verified_at,
        "expires_at": known.expires_at,
        "turn_id": known.turn_id[:8] or None,
        "stale": known.stale or None,
    }


@verified.command()
@click.argument("question", default="")
@click.option("--answer", help="The answer as Markdown. [1] marks the first source.")
@click.option("--answer-file", type=FilePath(exists=True, dir_okay=False), help="File with the answer.")
@click.option("--answer-of", type=Identifier(), metavar="TURN_ID", help="Verify this answer of Parley.")
@click.option("--also", type=Identifier(), multiple=True, help="Another form of the question. Can be repeated.")
@click.option("--source", "sources", multiple=True, help="A document: its ID, path or title. Can be repeated.")
@click.option(
    "--until", type=Identifier(), metavar="DAY", help="2027-01-31, 90d, 12w or never.  [default: PARLEY_VERIFIED_DAYS]"
)
@click.option(
    "--owner", type=Identifier(), default="you", show_default=True, help="The name of the person who stands behind it."
)
@click.option("--audience", type=Identifier(), help="Who gets it: tenant or the ID of a channel.  [default: tenant]")
@data_options
def add(
    question: str,
    answer: str | None,
    answer_file: Path | None,
    answer_of: str | None,
    also: tuple[str, ...],
    sources: tuple[str, ...],
    until: str | None,
    owner: str,
    audience: str | None,
    tenant: str,
    as_json: bool,
) -> None:
    """Verify an answer to QUESTION that you write, or with --answer-of one that was given.

    It is given to the people of its audience, until its time is over or a document that it cites changes.
    """
    from datetime import UTC, datetime

    from bot.commands import verified_answers as commands
    from bot.types.conversation import Author

    if [answer, answer_file, answer_of].count(None) != 2:
        raise UsageError(verified_user_messages.ONE_ANSWER)
    if answer_of and (question or sources):
        raise UsageError(verified_user_messages.ANSWER_OF_ALONE)
    now, by = datetime.now(UTC), Author(owner, owner, is_admin=True)
    expires = commands.expiry(until, now, default_days=settings().verified_days)
    text = _read(answer_file) if answer_file else answer or ""

    async def store(session: AsyncSession) -> VerifiedAnswer:
        if answer_of:
            return await commands.add_answer_of(
                session,
                answer_of,
                tenant_id=tenant,
                platform="console",
                owner=by,
                for_everyone=audience == TENANT_AUDIENCE,
                now=now,
                expires=expires,
                also=also,
            )
        draft = commands.Draft(question, text, also, sources, audience or TENANT_AUDIENCE, expires)
        return await commands.add_written(session, draft, tenant_id=tenant, platform="console", owner=by, now=now)

    async def work(database: Database) -> VerifiedAnswer:
        await ensure_tenant(database, tenant)
        return await database.run(tenant, store)

    added = with_database(work)
    if as_json:
        print_json(_as_json(added))
    else:
        echo(verified_user_messages.verified(added.id[:8], added.expires_at))


def _read(path: Path) -> str:
    """Return the text of a UTF-8 file, without a byte order mark. Raises ParleyError."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ParleyError(user_messages.not_readable(path, error.strerror)) from None
    except UnicodeDecodeError:
        raise ParleyError(user_messages.text_not_utf8(path)) from None


@verified.command()
@click.argument("answer_id", metavar="ID", type=Identifier())
@data_options
def remove(answer_id: str, tenant: str, as_json: bool) -> None:
    """Remove a verified answer."""

    async def delete(session: AsyncSession) -> str:
        from bot.store.verified_answers import records

        known = await records.find(session, tenant_id=tenant, typed=answer_id)
        if known is None:
            raise UsageError(verified_user_messages.unknown(answer_id))
        await records.remove(session, tenant_id=tenant, answer_id=known.id)
        return known.id[:8]

    async def work(database: Database) -> str:
        await require_tenant(database, tenant)
        return await database.run(tenant, delete)

    removed = with_database(work)
    if as_json:
        print_json({"removed": removed})
    else:
        echo(verified_user_messages.removed(removed))


COMMANDS = (verified,)
