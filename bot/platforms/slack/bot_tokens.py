"""Supplies the Slack bot token of one workspace, from the settings or from a stored installation."""

from __future__ import annotations

from typing import Protocol


class BotTokenSource(Protocol):
    """The bot token of one workspace."""

    async def token(self) -> str:
        """Return the token to use now. Raises SurfaceError."""

    async def replacement(self, refused: str) -> str | None:
        """Return another token after Slack refused ``refused``; None if there is no other. Raises SurfaceError."""


class StaticToken:
    """The one token from the settings."""

    def __init__(self, token: str) -> None:
        self._token = token

    async def token(self) -> str:
        return self._token

    async def replacement(self, refused: str) -> str | None:
        return None
