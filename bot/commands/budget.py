"""The ``budget`` command: shows daily token budgets; admins see and set the limits of others."""

from __future__ import annotations

from bot.commands import arguments, help_text, user_messages
from bot.commands.base import Command, Context, Reply, Table
from bot.errors import NotAllowed, UsageError
from bot.store import budget_counters
from bot.types.usage import UNLIMITED


async def run(context: Context, line: str) -> Reply:
    """Show budgets, or set a limit.

    A subject is the platform's id of a person or channel, a role, ``*``, ``channel:*`` or ``tenant``. Tokens are a
    number, ``unlimited``, or ``default`` to remove the limit.
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
            channel_id = arguments.mentioned_channel(subject, context.platform)
            channel_id = context.channel_id if subject == "here" else channel_id
            key = budget_counters.of_channel(channel_id) if channel_id else subject_of(subject)
            return await _set(context, key, tokens_of(tokens))
        case _:
            usage = user_messages.wrong_usage("budget", help_text.BUDGET_USAGE)
            raise UsageError(f"{usage} {user_messages.BUDGET_SUBJECTS}")


def person_id(text: str) -> str:
    """Return the user id in ``<@U1|ann>``, ``@U1``, ``user:U1`` or ``U1``. Raises UsageError if there is none."""
    return _given(text.strip("<>").split("|")[0].lstrip("@!").removeprefix("user:"), text)


def subject_of(text: str) -> str:
    """Return the subject of a limit. Raises UsageError for an unknown role and for a subject without an id."""
    if text in ("*", "default", "everybody"):
        return budget_counters.EVERYBODY
    if text in ("tenant", "team", "workspace"):
        return budget_counters.TENANT
    inner = text.strip("<>").split("|")[0]
    if inner.startswith("role:"):
        if inner not in map(budget_counters.of_role, budget_counters.ROLES):
            raise UsageError(user_messages.unknown_role(inner))
        return inner
    if inner.startswith(("#", "channel:")):
        return budget_counters.of_channel(_given(inner.lstrip("#").removeprefix("channel:"), text))
    return budget_counters.of_user(person_id(text))


def _given(name: str, text: str) -> str:
    """Return the id in an argument. Raises UsageError if it is empty; ``text`` is the whole argument."""
    if not name.strip():
        raise UsageError(user_messages.id_missing(text))
    return name


def tokens_of(text: str) -> int | None:
    """Return the tokens a day: a number, UNLIMITED, or None for the default. Raises UsageError."""
    match text.lower():
        case "unlimited" | "none":
            return UNLIMITED
        case "default":
            return None
        case _:
            return min(arguments.whole_number(text, user_messages.WANTED_TOKENS), UNLIMITED)


def _admins_only(context: Context, person: str | None = None) -> None:
    is_own = person is not None and person_id(person) == context.author.id
    if not context.author.is_admin and not is_own:
        raise NotAllowed(user_messages.OTHERS_BUDGET)


async def _own(context: Context) -> Reply:
    states = await context.services.stores.budgets.budgets(context.tenant_id, context.channel_id, context.author)
    return Reply(user_messages.own_budget(states, context.services.clock()))


async def _show(context: Context, user_id: str) -> Reply:
    state = await context.services.stores.budgets.budget(context.tenant_id, user_id)
    return Reply(user_messages.budget_of(user_id, state, context.services.clock()))


async def _list(context: Context) -> Reply:
    async with context.services.database.tenant(context.tenant_id) as session:
        limits = await budget_counters.list_limits(session, tenant_id=context.tenant_id)
    configured = context.services.settings
    defaults = user_messages.default_limits(
        person=configured.daily_tokens, channel=configured.channel_daily_tokens, team=configured.tenant_daily_tokens
    )
    rows = [(subject, user_messages.daily_limit(tokens)) for subject, tokens in limits]
    return Reply(defaults, Table(user_messages.BUDGET_COLUMNS, rows))


async def _set(context: Context, subject: str, tokens: int | None) -> Reply:
    async with context.services.database.tenant(context.tenant_id) as session:
        if tokens is None:
            await budget_counters.remove_limit(session, tenant_id=context.tenant_id, subject=subject)
        else:
            await budget_counters.set_limit(
                session, tenant_id=context.tenant_id, subject=subject, daily_tokens=tokens, set_by=context.author.id
            )
    return Reply(describe_change(subject, tokens))


def describe_change(subject: str, tokens: int | None) -> str:
    """Return what changed for the subject of a limit; ``tokens`` is None if it has the default again."""
    kind, _, name = subject.partition(":")
    described = {
        budget_counters.EVERYBODY: "Everyone without a limit of their own",
        budget_counters.EVERY_CHANNEL: "Every channel without a limit of its own",
        budget_counters.TENANT: "The whole team together",
        budget_counters.of_role("admin"): "Each admin without a limit of their own",
        budget_counters.of_role("member"): "Each member without a limit of their own",
    }.get(subject, f"Everyone in channel {name} together" if kind == "channel" else name)
    return user_messages.limit_changed(described, tokens)


COMMAND = Command("budget", help_text.BUDGET_SUMMARY, help_text.BUDGET_USAGE, run)
