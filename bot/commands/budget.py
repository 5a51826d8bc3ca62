"""``budget``: one's own tokens of the day and what else limits; admins see and set the limits of others."""

from __future__ import annotations

from bot.commands import arguments
from bot.commands.base import Command, Context, Reply, Table
from bot.engine.user_messages import when
from bot.errors import NotAllowed, UsageError
from bot.store import budgets
from bot.types.usage import UNLIMITED, BudgetState

USAGE = "[show PERSON | set SUBJECT TOKENS | list]"
SUBJECTS = "a person, a channel, here, role:admin, role:member, * for everybody, channel:* or tenant"
_WHOSE = {"channel": "This channel has", "tenant": "The whole team has"}


async def run(context: Context, line: str) -> Reply:
    """Show or set. A subject is a person or a channel by the platform's id, a role, ``*``, ``channel:*`` or ``tenant``.

    ``TOKENS`` is a number, ``unlimited``, or ``default`` to take the limit away again.
    """
    match arguments.words(line):
        case [] | ["show"]:
            return await _own(context)
        case ["show", person]:
            _admins_only(context, person)
            return await _show(context, person_id(person))
        case ["list"]:
            _admins_only(context)
            return await _list(context)
        case ["set", subject, tokens]:
            _admins_only(context)
            here = budgets.of_channel(context.channel_id)
            return await _set(context, here if subject == "here" else subject_of(subject), tokens_of(tokens))
        case _:
            raise UsageError(f"Write /budget {USAGE}. SUBJECT is {SUBJECTS}.")


def person_id(written: str) -> str:
    """The user id in what a person wrote: ``<@U1|ann>``, ``@U1``, ``user:U1`` or plain."""
    inner = written.strip("<>").split("|")[0]
    return inner.lstrip("@!").removeprefix("user:")


def subject_of(written: str) -> str:
    """The subject of a limit. Raises UsageError for a role that there is not."""
    if written in ("*", "default", "everybody"):
        return budgets.EVERYBODY
    if written in ("tenant", "team", "workspace"):
        return budgets.TENANT
    inner = written.strip("<>").split("|")[0]
    if inner.startswith("role:"):
        if inner not in map(budgets.of_role, budgets.ROLES):
            raise UsageError(f"There is no {inner}; write role:admin or role:member.")
        return inner
    if inner.startswith(("#", "channel:")):
        return budgets.of_channel(inner.lstrip("#").removeprefix("channel:"))
    return budgets.of_user(person_id(written))


def tokens_of(written: str) -> int | None:
    """Tokens a day: a number, UNLIMITED, or None for the default. Raises UsageError."""
    match written.lower():
        case "unlimited" | "none":
            return UNLIMITED
        case "default":
            return None
        case _:
            return min(arguments.whole_number(written, "a number of tokens, nor “unlimited” or “default”"), UNLIMITED)


def in_words(tokens: int) -> str:
    """Tokens a day for a person."""
    return "no limit" if tokens >= UNLIMITED else f"{tokens:,} tokens a day"


def _admins_only(context: Context, person: str | None = None) -> None:
    own = person is not None and person_id(person) == context.author.id
    if not context.author.is_admin and not own:
        raise NotAllowed("Only an admin can see or set the budget of others. /budget alone shows yours.")


async def _own(context: Context) -> Reply:
    states = await context.services.stores.budgets.budgets(context.tenant_id, context.channel_id, context.author)
    own, *shared = states
    lines = [_used("You have", own)]
    lines += [_used(_WHOSE[state.whose], state) for state in shared if not state.unlimited]
    if not all(state.unlimited for state in states):
        lines.append(f"Every budget resets {when(own.resets_at, context.services.clock())}.")
    return Reply("\n".join(lines))


async def _show(context: Context, user_id: str) -> Reply:
    state = await context.services.stores.budgets.budget(context.tenant_id, user_id)
    reset = f" The budget resets {when(state.resets_at, context.services.clock())}."
    return Reply(f"{_used(f'{user_id} has', state)}{'' if state.unlimited else reset}")


def _used(whose: str, state: BudgetState) -> str:
    held = f", {state.reserved:,} set aside for answers under way" if state.reserved else ""
    if state.unlimited:
        return f"{whose} used {state.used:,} tokens today{held}; there is no limit."
    return f"{whose} used {state.used:,} of {state.limit:,} tokens today{held}; {state.left:,} are left."


async def _list(context: Context) -> Reply:
    async with context.services.database.tenant(context.tenant_id) as session:
        limits = await budgets.list_limits(session, tenant_id=context.tenant_id)
    made = context.services.settings
    defaults = {"a person": made.daily_tokens, "a channel": made.channel_daily_tokens, "all": made.tenant_daily_tokens}
    told = "; ".join(f"{who}: {in_words(tokens or UNLIMITED)}" for who, tokens in defaults.items())
    rows = [(subject, in_words(tokens)) for subject, tokens in limits]
    return Reply(f"Where nothing below says otherwise: {told}.", Table(("subject", "limit"), rows))


async def _set(context: Context, subject: str, tokens: int | None) -> Reply:
    async with context.services.database.tenant(context.tenant_id) as session:
        if tokens is None:
            await budgets.remove_limit(session, tenant_id=context.tenant_id, subject=subject)
        else:
            await budgets.set_limit(
                session, tenant_id=context.tenant_id, subject=subject, daily_tokens=tokens, set_by=context.author.id
            )
    return Reply(set_in_words(subject, tokens))


def set_in_words(subject: str, tokens: int | None) -> str:
    """What was set, for a person."""
    kind, _, name = subject.partition(":")
    who = {
        budgets.EVERYBODY: "Everybody without a limit of their own",
        budgets.EVERY_CHANNEL: "Every channel without a limit of its own",
        budgets.TENANT: "The whole team together",
        budgets.of_role("admin"): "Each admin without a limit of their own",
        budgets.of_role("member"): "Each member without a limit of their own",
    }.get(subject, f"Channel {name}, all its people together," if kind == "channel" else name)
    if tokens is None:
        return f"{who}: the default again."
    may = "any number of tokens" if tokens >= UNLIMITED else f"{tokens:,} tokens"
    return f"{who} may use {may} a day from now on."


COMMAND = Command("budget", "shows your tokens of today; admins set limits", USAGE, run)
