"""The ``admin`` command: settings of the whole tenant, such as admins, model tier and pause."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from bot.commands import arguments, budget, gap_digest, help_text, settings_user_messages, user_messages
from bot.commands.base import Command, Context, Reply, Table
from bot.commands.settings import switch, tier_of
from bot.errors import UsageError
from bot.store import gap_digests, refusals, tenants
from bot.types.settings import TenantSettings
from bot.types.usage import Tier

MAX_NOTE_CHARS = 300
TIERS: tuple[Tier, ...] = ("cheap", "strong")


async def run(context: Context, line: str) -> Reply:
    """Show the tenant's settings, or change one of them. Raises UsageError."""
    first, note = arguments.first_word(line)
    if first == "pause":
        return await _pause(context, note or settings_user_messages.DEFAULT_PAUSE_NOTE)
    match arguments.words(line):
        case [] | ["show"]:
            return await _show(context)
        case ["models"]:
            return _models(context)
        case ["budgets", *rest]:
            return await budget.run(context, " ".join(["set", *rest] if rest else ["list"]))
        case ["grant", person]:
            return await _grant(context, budget.person_id(person))
        case ["revoke", person]:
            return await _revoke(context, budget.person_id(person))
        case ["tier", value]:
            tier = tier_of(value)
            await _set(context, lambda made: replace(made, tier=tier))
            return Reply(settings_user_messages.workspace_tier(tier))
        case ["digest", value]:
            return await gap_digest.switch(context, switch(value, "digest", command="admin"))
        case ["resume"]:
            await _set(context, lambda made: replace(made, paused=None))
            return Reply(settings_user_messages.RESUMED)
        case _:
            raise UsageError(user_messages.wrong_usage("admin", help_text.ADMIN_USAGE))


async def _pause(context: Context, note: str) -> Reply:
    if len(note) > MAX_NOTE_CHARS:
        raise UsageError(settings_user_messages.note_too_long(MAX_NOTE_CHARS))
    await _set(context, lambda made: replace(made, paused=note))
    return Reply(settings_user_messages.paused(note))


async def _grant(context: Context, person: str) -> Reply:
    await _set(context, lambda made: replace(made, admins=tuple(sorted({*made.admins, person}))))
    return Reply(settings_user_messages.granted(person))


async def _revoke(context: Context, person: str) -> Reply:
    if person not in (await _settings(context)).admins:
        raise UsageError(settings_user_messages.not_granted(person))
    await _set(context, lambda made: replace(made, admins=tuple(admin for admin in made.admins if admin != person)))
    return Reply(settings_user_messages.revoked(person))


async def _set(context: Context, change: Callable[[TenantSettings], TenantSettings]) -> None:
    async def store(session: AsyncSession) -> None:
        await tenants.set_settings(session, tenant_id=context.tenant_id, platform=context.platform, change=change)

    await context.services.database.run(context.tenant_id, store)


async def _settings(context: Context) -> TenantSettings:
    async with context.services.database.tenant(context.tenant_id) as session:
        return await tenants.settings(session, tenant_id=context.tenant_id)


async def _show(context: Context) -> Reply:
    made = await _settings(context)
    services = context.services
    first = services.clock().date() - timedelta(days=refusals.SHOWN_DAYS - 1)
    await refusals.store(services.database, services.clock().date())
    refused = await refusals.since(services.database, context.tenant_id, first)
    rows = [
        ("admins added with /admin grant", ", ".join(made.admins) or "none"),
        ("tier", made.tier or "auto"),
        ("pause", made.paused or "off"),
        ("weekly digest", await _digest_channel(context)),
        (settings_user_messages.refused_in(refusals.SHOWN_DAYS), refusals.described(refused)),
    ]
    return Reply(settings_user_messages.ADMIN_SETTINGS, Table(settings_user_messages.ADMIN_COLUMNS, rows))


async def _digest_channel(context: Context) -> str:
    async with context.services.database.tenant(context.tenant_id) as session:
        return await gap_digests.channel(session, tenant_id=context.tenant_id) or "off"


def _models(context: Context) -> Reply:
    llm, configured = context.services.llm, context.services.settings
    rows = [(tier, llm.model(tier)) for tier in TIERS] + [("embedding", configured.embedding_model)]
    return Reply(settings_user_messages.MODELS, Table(("use", "model"), rows))


COMMAND = Command("admin", help_text.ADMIN_SUMMARY, help_text.ADMIN_USAGE, run, admin=True)
