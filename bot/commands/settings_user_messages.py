"""Text about settings for users: those of a channel with ``/settings``, those of the workspace with ``/admin``."""

from __future__ import annotations

from collections.abc import Sequence

from bot.types.usage import Tier

# --- settings

SETTINGS_ADMIN = "Only an admin can change the settings of a channel. Write /settings to see them."
SETTINGS_RESET = "This channel has the default settings again."
SETTINGS_SHOWN = "My settings in this channel."
PERSONA_USAGE = (
    "Write how I should behave here, for example: /settings persona Answer in two sentences. "
    "“default” restores the default."
)
PERSONA_RESET = "I use my default persona in this channel again."
SOURCES_USAGE = "Name the sources as /docs lists them, or write /settings sources all."
ALL_SOURCES = "Answers in this channel use every source again."
FOLLOW_UPS = {
    True: "I answer follow-ups in threads of this channel without a mention.",
    False: "I answer follow-ups in threads of this channel only when someone mentions me.",
}
CHANGE_NOTICES = {
    True: "I tell a thread of this channel when the documents that my answer cites have changed.",
    False: "I tell nobody in this channel when documents change. /why and the admin page show it.",
}
EXTERNAL = {
    True: (
        "I use all of the team's documents in this channel, although guests and people from other organizations may "
        "read my answers."
    ),
    False: "While guests or people from other organizations read this channel, I use only documents added to it.",
}
EXTERNAL_USAGE = (
    "Write /settings external on or off. For another place, add the ID of its channel: C0123 or D0123 in Slack, a "
    "number in Discord."
)


def refused_in(days: int) -> str:
    """Return the name of the row with the refusals of the last days."""
    return f"refused in the last {days} days"


def in_place(channel_id: str, confirmation: str) -> str:
    """Return the confirmation of a setting that was changed for another channel."""
    return f"In {channel_id}: {confirmation}"


AUTO_ANSWER = {
    True: (
        "I answer questions in this channel without a mention if the documents clearly contain the answer. "
        "Otherwise I do not reply."
    ),
    False: "I answer in this channel only when someone mentions me.",
}


def channel_tier(tier: Tier | None) -> str:
    return f"{_tier(tier)} in this channel from now on."


def persona_set(persona: str) -> str:
    return f"My persona in this channel: {persona}"


def persona_too_long(limit: int, length: int) -> str:
    return f"A persona can have at most {limit:,} characters. This one has {length:,}."


def sources_set(prefixes: Sequence[str]) -> str:
    return "Answers in this channel use only these sources: " + ", ".join(prefixes)


def unknown_source(prefix: str) -> str:
    return f"No source or document begins with “{prefix}”. /docs lists the sources."


def paused_everywhere(note: str) -> str:
    return f" I am paused in the whole workspace: {note}"


def unknown_tier(value: str) -> str:
    return f"“{value}” is not a tier. Write cheap, strong or auto."


def not_a_switch(name: str, command: str) -> str:
    return f"Write /{command} {name} on, or /{command} {name} off."


# --- admin

ADMIN_SETTINGS = (
    "Settings for the whole workspace. See also /settings for this channel and /budget list for the limits."
)
ADMIN_COLUMNS = ("setting", "value")
DEFAULT_PAUSE_NOTE = "An admin has paused me. Ask again later."
RESUMED = "I answer questions again."
MODELS = (
    "The operator sets the models with PARLEY_CHEAP_MODEL, PARLEY_STRONG_MODEL and PARLEY_EMBEDDING_MODEL. "
    "/admin tier chooses whether the cheap or the strong model answers."
)


def workspace_tier(tier: Tier | None) -> str:
    return f"{_tier(tier)} from now on, except in channels with their own tier."


def _tier(tier: Tier | None) -> str:
    return f"The {tier} model answers" if tier else "I choose the model for each question"


def granted(person: str) -> str:
    return f"{person} is now an admin here."


def revoked(person: str) -> str:
    return f"{person} is no longer an admin here."


def not_granted(person: str) -> str:
    return (
        f"{person} was not made an admin with /admin grant. Admin rights that come from the platform's roles or from "
        "PARLEY_ADMINS must be changed there."
    )


def paused(note: str) -> str:
    return f"I do not answer questions until an admin writes /admin resume. Askers see this note: {note}"


def note_too_long(limit: int) -> str:
    return f"The note can have at most {limit} characters."
