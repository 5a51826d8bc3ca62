"""Sends the notices about sources that are held back to people in Slack."""

from __future__ import annotations

import re
from collections.abc import Sequence

from bot.commands import docs_user_messages
from bot.platforms.slack import errors, render
from bot.platforms.slack.workspace import Workspaces
from bot.types.conversation import Platform
from knowledge.held_back_sources import HeldBack

_USER_ID = re.compile(r"[UW][A-Z0-9]+")


class SlackMessenger:
    """The ``Messenger`` of the workspaces that this process serves."""

    platform: Platform = "slack"

    def __init__(self, workspaces: Workspaces) -> None:
        self._workspaces = workspaces

    async def served(self) -> Sequence[str]:
        """Return the tenants of the workspaces. Raises SurfaceError, StoreAway."""
        return await self._workspaces.tenants()

    async def admins(self, tenant_id: str) -> Sequence[str]:
        """Return the admins and owners of the workspace. Raises SurfaceError."""
        with errors.translated():
            return await self._workspaces.of_tenant(tenant_id).users.admins()

    def is_person(self, user_id: str) -> bool:
        """Return whether this is the ID of a user."""
        return bool(_USER_ID.fullmatch(user_id))

    async def send(self, tenant_id: str, user_id: str, held_back: HeldBack) -> None:
        """Send the notice as a direct message. Raises SurfaceError."""
        text = docs_user_messages.held_back(held_back.uri, held_back.reason)
        notice = render.held_back_notice(text, held_back.source_id)
        await self._workspaces.of_tenant(tenant_id).replies.send_notice(user_id, notice)
