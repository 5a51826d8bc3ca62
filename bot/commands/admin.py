"""``admin``: what holds for the whole tenant: who is an admin, which tier answers, pause."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from bot.commands import arguments, budget
from bot.commands.base import Command, Context, Reply, Table
from bot.commands.settings import tier_of
from bot.errors import UsageError
from bot.store import tenants
from bot.types.settings import TenantSettings
from bot.types.usage import Tier

USAGE = "[show | grant PERSON | revoke PERSON | tier cheap|strong|auto | pause [NOTE] | resume | budgets | models]"
RESTING = "An admin has me pause for now; ask again later."
MOST_NOTE = 300
TIERS: tuple[Tier, ...] = ("cheap", "strong")


async def run(context: Context, line: str) -> Reply:
    """Show, or change one thing of the tenant. Raises UsageError."""
    given = arguments.words(line)
    match given:
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
            told = f"the {tier} model answers" if tier else "each question is judged"
            return Reply(f"Where a channel says nothing else, {told} from now on.")
        case ["pause", *_]:
            note = line.strip().partition(" ")[2].strip() or RESTING
            if len(note) > MOST_NOTE:
                raise UsageError(f"The note has at most {MOST_NOTE} characters.")
            await _set(context, lambda made: replace(made, paused=note))
            return Reply(f"I answer no questions until /admin resume. Whoever asks is told: {note}")
        case ["resume"]:
            await _set(context, lambda made: replace(made, paused=None))
            return Reply("I answer again.")
        case _:
            raise UsageError(f"Write /admin {USAGE}.")


async def _grant(context: Context, person: str) -> Reply:
    await _set(context, lambda made: replace(made, admins=tuple(sorted({*made.admins, person}))))
    return Reply(f"{person} may now do what admins do here.")


async def _revoke(context: Context, person: str) -> Reply:
    if person not in (await _settings(context)).admins:
        raise UsageError(
            f"{person} was not made an admin with /admin grant; who is one by the platform's roles or by PARLEY_ADMINS "
            "is changed there."
        )
    await _set(context, lambda made: replace(made, admins=tuple(one for one in made.admins if one != person)))
    return Reply(f"{person} is no admin here any more.")


async def _set(context: Context, change: Callable[[TenantSettings], TenantSettings]) -> None:
    async with context.services.database.tenant(context.tenant_id) as session:
        await tenants.set_settings(session, tenant_id=context.tenant_id, platform=context.platform, change=change)


async def _settings(context: Context) -> TenantSettings:
    async with context.services.database.tenant(context.tenant_id) as session:
        return await tenants.settings(session, tenant_id=context.tenant_id)


async def _show(context: Context) -> Reply:
    made = await _settings(context)
    rows = [
        ("admins by /admin grant", ", ".join(made.admins) or "none"),
        ("tier", made.tier or "auto"),
        ("pause", made.paused or "off"),
    ]
    return Reply("What holds everywhere here. /settings shows this channel, /budget list the limits.", _table(rows))


def _models(context: Context) -> Reply:
    llm, made = context.services.llm, context.services.settings
    rows = [(tier, llm.model(tier)) for tier in TIERS] + [("embedding", made.embedding_model)]
    return Reply(
        "The operator sets these with PARLEY_CHEAP_MODEL, PARLEY_STRONG_MODEL and PARLEY_EMBEDDING_MODEL; "
        "/admin tier decides which of the two answers.",
        Table(("for", "model"), rows),
    )


def _table(rows: list[tuple[str, str]]) -> Table:
    return Table(("what", "value"), rows)


COMMAND = Command("admin", "sets what holds everywhere: admins, tier, pause", USAGE, run, admin=True)
