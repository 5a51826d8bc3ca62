"""``budget``: one's own tokens of the day; admins see and set those of others."""

from __future__ import annotations

from bot.commands import arguments
from bot.commands.base import Command, Context, Reply, Table
from bot.engine.words import when
from bot.errors import NotAllowed, UsageError
from bot.store import budgets

USAGE = "[show PERSON | set PERSON TOKENS | set * TOKENS | list]"


async def run(context: Context, line: str) -> Reply:
    """Show or set. ``PERSON`` is a platform's user id; ``*`` is everybody without a limit of their own."""
    match arguments.words(line):
        case []:
            return await _show(context, context.author.id, "You have")
        case ["show", person]:
            _admins_only(context, person)
            return await _show(context, person_id(person), f"{person_id(person)} has")
        case ["list"]:
            _admins_only(context)
            return await _list(context)
        case ["set", person, tokens]:
            _admins_only(context)
            return await _set(context, person, arguments.whole_number(tokens, "a number of tokens"))
        case _:
            raise UsageError(f"Write /budget {USAGE}.")


def person_id(written: str) -> str:
    """The user id in what a person wrote: ``<@U1|ann>``, ``@U1``, ``user:U1`` or plain."""
    inner = written.strip("<>").split("|")[0]
    return inner.lstrip("@!").removeprefix("user:")


def subject_of(written: str) -> str:
    """The subject of a limit: a person, or everybody."""
    return budgets.DEFAULT if written in ("*", "default", "everybody") else budgets.subject_of(person_id(written))


def _admins_only(context: Context, person: str | None = None) -> None:
    own = person is not None and person_id(person) == context.author.id
    if not context.author.is_admin and not own:
        raise NotAllowed("Only an admin can see or set the budget of others. /budget alone shows yours.")


async def _show(context: Context, user_id: str, whose: str) -> Reply:
    state = await context.services.store.budget(context.tenant_id, user_id)
    left = max(0, state.limit - state.used - state.reserved)
    held = f", {state.reserved:,} set aside for answers under way" if state.reserved else ""
    return Reply(
        f"{whose} used {state.used:,} of {state.limit:,} tokens today{held}; {left:,} are left. "
        f"The budget resets {when(state.resets_at, context.services.clock())}."
    )


async def _list(context: Context) -> Reply:
    async with context.services.database.tenant(context.tenant_id) as session:
        limits = await budgets.list_limits(session, tenant_id=context.tenant_id)
    default = context.services.settings.daily_tokens
    rows = [(subject, tokens) for subject, tokens in limits]
    return Reply(
        f"Everybody without a limit below: {default:,} tokens a day.", Table(("subject", "tokens a day"), rows)
    )


async def _set(context: Context, person: str, tokens: int) -> Reply:
    async with context.services.database.tenant(context.tenant_id) as session:
        await budgets.set_limit(
            session,
            tenant_id=context.tenant_id,
            subject=subject_of(person),
            daily_tokens=tokens,
            set_by=context.author.id,
        )
    who = "Everybody" if subject_of(person) == budgets.DEFAULT else person_id(person)
    return Reply(f"{who} may use {tokens:,} tokens a day from now on.")


COMMAND = Command("budget", "shows your tokens of today; admins set those of others", USAGE, run)
