"""Where the bot token of a call comes from: the settings, or what a workspace's installation holds at the moment."""

from __future__ import annotations

from typing import Protocol


class Tokens(Protocol):
    """The bot token of one workspace."""

    async def token(self) -> str:
        """The token to call with now. Raises SurfaceError."""

    async def again(self, refused: str) -> str | None:
        """Another token where Slack refused that one; None where there is no other. Raises SurfaceError."""


class Fixed:
    """The one token of the settings."""

    def __init__(self, token: str) -> None:
        self._token = token

    async def token(self) -> str:
        return self._token

    async def again(self, refused: str) -> str | None:
        return None
