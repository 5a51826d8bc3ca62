"""``settings``: how the bot behaves in this channel; everybody may look, admins change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from sqlalchemy import text

from bot.commands import arguments
from bot.commands.base import Command, Context, Reply
from bot.errors import NotAllowed, UsageError
from bot.store import tenants
from bot.types.settings import ChannelSettings
from bot.types.usage import Tier

USAGE = (
    "[show | persona TEXT | tier cheap|strong|auto | sources PREFIX...|all | follow-ups on|off | auto-answer on|off | "
    "reset]"
)
MOST_PERSONA = 2000
"""Characters of a persona: it goes into every prompt of the channel."""
_SWITCH = {"on": True, "yes": True, "true": True, "off": False, "no": False, "false": False}

Change = Callable[[ChannelSettings], ChannelSettings]


async def run(context: Context, line: str) -> Reply:
    """Show, or change one thing. Raises UsageError with the right usage, NotAllowed."""
    name, _, rest = line.strip().partition(" ")
    if name.lower() in ("", "show"):
        return await _show(context)
    if not context.author.is_admin:
        raise NotAllowed("Only an admin can change the settings of a channel. /settings alone shows them.")
    change, told = await _change(context, name.lower(), rest.strip())
    async with context.services.database.tenant(context.tenant_id) as session:
        await tenants.ensure(session, tenant_id=context.tenant_id, platform=context.platform)
        await tenants.set_channel_settings(
            session, tenant_id=context.tenant_id, channel_id=context.channel_id, change=change
        )
    return Reply(told)


async def _change(context: Context, name: str, value: str) -> tuple[Change, str]:
    match name:
        case "persona":
            return _persona(value)
        case "tier":
            tier = tier_of(value)
            told = f"the {tier} model answers" if tier else "each question is judged"
            return lambda made: replace(made, tier=tier), f"In this channel {told} from now on."
        case "sources":
            return await _sources(context, arguments.words(value))
        case "follow-ups" | "follow_ups" | "followups":
            on = switch(value, "follow-ups")
            told = "answered without a new mention" if on else "answered only where I am mentioned"
            return lambda made: replace(made, follow_ups=on), f"Follow-ups in threads of this channel are {told}."
        case "auto-answer" | "auto_answer" | "autoanswer":
            on = switch(value, "auto-answer")
            told = (
                "Questions in this channel are answered without a mention where the documents clearly hold the answer; "
                "I stay silent otherwise."
                if on
                else "I answer in this channel only where I am mentioned."
            )
            return lambda made: replace(made, auto_answer=on), told
        case "reset" if not value:
            return lambda _: ChannelSettings(), "This channel has the default settings again."
        case _:
            raise UsageError(f"Write /settings {USAGE}.")


def _persona(value: str) -> tuple[Change, str]:
    if not value:
        raise UsageError("Write how I should be here: /settings persona Answer in two sentences. “default” undoes it.")
    if len(value) > MOST_PERSONA:
        raise UsageError(f"A persona has at most {MOST_PERSONA:,} characters; this one has {len(value):,}.")
    persona = None if value.lower() in ("default", "none") else value
    told = "I am myself again in this channel." if persona is None else f"In this channel I keep to this: {persona}"
    return lambda made: replace(made, persona=persona), told


async def _sources(context: Context, given: list[str]) -> tuple[Change, str]:
    """Only sources that there are: a misspelled one would silence the channel."""
    if not given:
        raise UsageError("Name the sources as /docs lists them, or write /settings sources all.")
    if [one.lower() for one in given] == ["all"]:
        return lambda made: replace(made, sources=None), "Answers in this channel draw on every source again."
    prefixes = tuple(dict.fromkeys(one.strip("<>") for one in given))
    async with context.services.database.tenant(context.tenant_id) as session:
        for prefix in prefixes:
            known = await session.scalar(
                text(
                    "SELECT EXISTS (SELECT FROM documents WHERE tenant_id = :tenant AND starts_with(uri, :prefix)) "
                    "OR EXISTS (SELECT FROM sources WHERE tenant_id = :tenant AND starts_with(uri, :prefix))"
                ),
                {"tenant": context.tenant_id, "prefix": prefix},
            )
            if not known:
                raise UsageError(f"No source or document begins with “{prefix}”; /docs lists what there is.")
    return (
        lambda made: replace(made, sources=prefixes),
        "Answers in this channel draw on these sources alone: " + ", ".join(prefixes),
    )


async def _show(context: Context) -> Reply:
    async with context.services.database.tenant(context.tenant_id) as session:
        made = await tenants.channel_settings(session, tenant_id=context.tenant_id, channel_id=context.channel_id)
    return shown(made)


def shown(made: ChannelSettings) -> Reply:
    """How the bot behaves in a channel."""
    lines = [
        ("persona", made.persona or "default"),
        ("tier", made.tier or "auto"),
        ("sources", ", ".join(made.sources) if made.sources is not None else "all"),
        ("follow-ups", "on" if made.follow_ups else "off"),
        ("auto-answer", "on" if made.auto_answer else "off"),
    ]
    told = "How I behave in this channel."
    if made.paused is not None:
        told += f" At the moment I rest everywhere: {made.paused}"
    return Reply("\n".join([told, "", *(f"- **{name}**: {value}" for name, value in lines)]))


def tier_of(value: str) -> Tier | None:
    """The tier, or None for ``auto``. Raises UsageError."""
    match value.lower():
        case "cheap":
            return "cheap"
        case "strong":
            return "strong"
        case "auto" | "default":
            return None
        case _:
            raise UsageError(f"“{value}” is no tier; write cheap, strong or auto.")


def switch(value: str, name: str) -> bool:
    """On or off. Raises UsageError."""
    if value.lower() not in _SWITCH:
        raise UsageError(f"Write /settings {name} on, or off.")
    return _SWITCH[value.lower()]


COMMAND = Command("settings", "shows how I behave in this channel; admins change it", USAGE, run)
