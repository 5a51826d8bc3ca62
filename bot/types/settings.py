"""Defines the settings that admins change at run time, per channel and per tenant."""

from __future__ import annotations

from dataclasses import dataclass

from bot.types.usage import Tier


@dataclass(frozen=True, slots=True)
class ChannelSettings:
    """How the bot behaves in one channel; ``None`` leaves the default."""

    persona: str | None = None
    tier: Tier | None = None
    follow_ups: bool = True
    sources: tuple[str, ...] | None = None
    """Prefixes of the sources that answers draw on; None for every source."""
    auto_answer: bool = False
    """Answer questions that mention nobody, where the evidence is strong; stay silent otherwise."""
    paused: str | None = None
    """What is said instead of answers while an admin has the bot pause in the whole tenant."""


@dataclass(frozen=True, slots=True)
class TenantSettings:
    """What an admin has set for the whole tenant. ``admins`` are ids of people beside those the platform names."""

    tier: Tier | None = None
    paused: str | None = None
    admins: tuple[str, ...] = ()
