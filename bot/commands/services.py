"""What commands work with; built once in ``bot.app``."""

from __future__ import annotations

from dataclasses import dataclass

from bot.config import Settings


@dataclass(frozen=True, slots=True)
class Services:
    """Everything a command may reach."""

    settings: Settings
