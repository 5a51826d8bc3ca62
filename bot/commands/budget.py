"""The ``budget`` command: shows daily token budgets; admins see and set the limits of others."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncSession

from bot.commands import arguments, budget_user_messages, help_text, user_messages
from bot.commands.base import Command, Context, Reply, Table
from bot.engine.ports.stores import Stores
from bot.errors import NotAllowed, UsageError
from bot.store import admin_changes
from bot.store.budgets import budget_counters
from bot.store.database.session import Database
from bot.types.conversation import Author
from bot.types.usage import UNLIMITED, BudgetOwner, BudgetState


async def run(context: Context, line: str) -> Reply:
    """Show budgets, or set a limit.

    A subject is the platform's id of a person or channel, a role, ``*``, ``channel:*`` or ``tenant``. Tokens are a
    number, ``unlimited``, ``blocked`` for none at all, or ``default`` to remove the limit.
    """
    match arguments.words(line):
        case [] | ["show"]:
            return await _own(context)
        case ["show", subject]:
            key = _here_or(context, subject)
            _admins_only(context, key)
            return await _show(context, key)
        case ["list"]:
            _admins_only(context)
            return await _list(context)
        case ["set", subject, tokens]:
            _admins_only(context)
            return await _set(context, _here_or(context, subject), tokens_of(tokens))
        case _:
            usage = user_messages.wrong_usage("budget", help_text.BUDGET_USAGE)
            raise UsageError(f"{usage} {budget_user_messages.BUDGET_SUBJECTS}")


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
            raise UsageError(budget_user_messages.unknown_role(inner))
        return inner
    if inner.startswith(("#", "channel:")):
        return budget_counters.of_channel(_given(inner.lstrip("#").removeprefix("channel:"), text))
    return budget_counters.of_user(person_id(text))


def _here_or(context: Context, text: str) -> str:
    """Return the subject that the text names. ``here`` and a mention of a channel on the platform name a channel."""
    channel_id = context.channel_id if text == "here" else arguments.mentioned_channel(text, context.platform)
    return budget_counters.of_channel(channel_id) if channel_id else subject_of(text)


def _given(name: str, text: str) -> str:
    """Return the id in an argument. Raises UsageError if it is empty; ``text`` is the whole argument."""
    if not name.strip():
        raise UsageError(budget_user_messages.id_missing(text))
    return name


def tokens_of(text: str) -> int | None:
    """Return the tokens a day: a number, UNLIMITED, 0 for blocked, or None for the default. Raises UsageError.

    The number 0 is refused, because it means no limit in the settings.
    """
    match text.lower():
        case "unlimited":
            return UNLIMITED
        case "blocked":
            return 0
        case "default":
            return None
        case _:
            return min(arguments.tokens_from_1(text), UNLIMITED)


async def state_of(stores: Stores, tenant_id: str, subject: str) -> BudgetState:
    """Return today's budget of ``user:ID``, ``channel:ID`` or ``tenant``. Raises UsageError for other subjects."""
    owner, name = owner_of(subject)
    if owner == "user":
        return await stores.budgets.budget(tenant_id, name)
    _, of_channel, of_tenant = await stores.budgets.budgets(tenant_id, name, Author("-", "-"))
    return of_channel if owner == "channel" else of_tenant


def owner_of(subject: str) -> tuple[BudgetOwner, str]:
    """Return whose budget a subject is, and their id. Raises UsageError for the subject of a group, such as a role."""
    kind, _, name = subject.partition(":")
    if subject != budget_counters.EVERY_CHANNEL and kind in ("user", "channel", "tenant"):
        return ("user" if kind == "user" else "channel" if kind == "channel" else "tenant"), name
    raise UsageError(budget_user_messages.NO_BUDGET_OF_GROUP)


async def store(database: Database, tenant_id: str, subject: str, tokens: int | None, *, set_by: str) -> None:
    """Store a subject's limit in tokens a day, and who set it; None removes it, so that the default applies."""
    shown = "default" if tokens is None else budget_user_messages.daily_limit(tokens)

    async def store_limit(session: AsyncSession) -> None:
        await admin_changes.record(
            session, tenant_id=tenant_id, admin_id=set_by, action="set a budget", subject=subject, value=shown
        )
        if tokens is None:
            await budget_counters.remove_limit(session, tenant_id=tenant_id, subject=subject)
        else:
            await budget_counters.set_limit(
                session, tenant_id=tenant_id, subject=subject, daily_tokens=tokens, set_by=set_by
            )

    await database.run(tenant_id, store_limit)


async def limit_of(database: Database, stores: Stores, tenant_id: str, subject: str) -> int:
    """Return the limit in tokens a day that applies to a subject now; UNLIMITED or more means no limit.

    ``*`` stands for a person, ``role:ROLE`` for a person of the role and ``channel:*`` for a channel, each without a
    limit of their own.
    """
    async with database.tenant(tenant_id) as session:
        limits = dict(await budget_counters.list_limits(session, tenant_id=tenant_id))
    if subject in limits:
        return limits[subject]
    if subject == budget_counters.EVERY_CHANNEL or subject.startswith("channel:"):
        _, state, _ = await stores.budgets.budgets(tenant_id, "-", Author("-", "-"))
        return state.limit
    if subject == budget_counters.EVERYBODY or subject.startswith("role:"):
        person, _, _ = await stores.budgets.budgets(tenant_id, "-", Author("-", "-"))
        return limits.get(budget_counters.EVERYBODY, person.limit)
    return (await state_of(stores, tenant_id, subject)).limit


def _admins_only(context: Context, subject: str | None = None) -> None:
    if not context.author.is_admin and subject != budget_counters.of_user(context.author.id):
        raise NotAllowed(budget_user_messages.OTHERS_BUDGET)


async def _own(context: Context) -> Reply:
    states = await context.services.stores.budgets.budgets(context.tenant_id, context.channel_id, context.author)
    return Reply(budget_user_messages.own_budget(states, context.services.clock()))


async def _show(context: Context, subject: str) -> Reply:
    state = await state_of(context.services.stores, context.tenant_id, subject)
    return Reply(budget_user_messages.budget_of(_described(subject), state, context.services.clock()))


async def _list(context: Context) -> Reply:
    async with context.services.database.tenant(context.tenant_id) as session:
        limits = await budget_counters.list_limits(session, tenant_id=context.tenant_id)
    configured = context.services.settings
    defaults = budget_user_messages.default_limits(
        person=configured.daily_tokens, channel=configured.channel_daily_tokens, team=configured.tenant_daily_tokens
    )
    rows = [(subject, budget_user_messages.daily_limit(tokens)) for subject, tokens in limits]
    return Reply(defaults, Table(budget_user_messages.BUDGET_COLUMNS, rows))


async def _set(context: Context, subject: str, tokens: int | None) -> Reply:
    await store(context.services.database, context.tenant_id, subject, tokens, set_by=context.author.id)
    return Reply(describe_change(subject, tokens))


def describe_change(subject: str, tokens: int | None) -> str:
    """Return what changed for the subject of a limit; ``tokens`` is None if it has the default again."""
    return budget_user_messages.limit_changed(_described(subject), tokens)


def _described(subject: str) -> str:
    """Return whom a subject names, as the start of a sentence."""
    kind, _, name = subject.partition(":")
    return {
        budget_counters.EVERYBODY: "Everyone without a limit of their own",
        budget_counters.EVERY_CHANNEL: "Every channel without a limit of its own",
        budget_counters.TENANT: "The whole team together",
        budget_counters.of_role("admin"): "Each admin without a limit of their own",
        budget_counters.of_role("member"): "Each member without a limit of their own",
    }.get(subject, f"Everyone in channel {name} together" if kind == "channel" else name)


COMMAND = Command("budget", help_text.BUDGET_SUMMARY, help_text.BUDGET_USAGE, run)
