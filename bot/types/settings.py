"""Defines the settings that admins change at run time, per channel and per tenant."""

from __future__ import annotations

from dataclasses import dataclass

from bot.types.usage import Tier


@dataclass(frozen=True, slots=True)
class ChannelSettings:
    """How the bot behaves in one channel. ``None`` means the default."""

    persona: str | None = None
    tier: Tier | None = None
    follow_ups: bool = True
    sources: tuple[str, ...] | None = None
    """Prefixes of the sources that answers use; None for all."""
    auto_answer: bool = False
    """Answer questions that mention nobody if the evidence is strong; stay silent otherwise."""
    change_notices: bool = False
    """Tell a thread when what its answer cites has changed."""
    external: bool = False
    """Use the tenant's documents although people from outside the team read the channel."""
    paused: str | None = None
    """The message sent instead of answers while an admin has paused the bot in the whole tenant."""


@dataclass(frozen=True, slots=True)
class TenantSettings:
    """Settings for the whole tenant. ``admins`` are ids of people beyond those the platform names."""

    tier: Tier | None = None
    paused: str | None = None
    admins: tuple[str, ...] = ()
