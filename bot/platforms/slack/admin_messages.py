"""Sends notices with a button to the admins of Slack workspaces."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Collection, Sequence

from bot.commands.admin_notices import ButtonNotice
from bot.engine.ports.surface import Surface
from bot.platforms.slack import errors, render
from bot.platforms.slack.channel_readers import ChannelReaders
from bot.platforms.slack.command_replies import ReplySender
from bot.platforms.slack.users import UserDirectory
from bot.types.audience import Audience
from bot.types.conversation import Platform
from bot.types.turns import Turn

_USER_ID = re.compile(r"[UW][A-Z0-9]+")


class WorkspaceMessenger:
    """The ``AdminMessenger`` of one workspace."""

    platform: Platform = "slack"

    def __init__(self, users: UserDirectory, replies: ReplySender, readers: ChannelReaders) -> None:
        self._users = users
        self._replies = replies
        self._readers = readers

    async def admins(self, tenant_id: str) -> Sequence[str]:
        """Return the admins and owners of the workspace. Raises SurfaceError."""
        with errors.translated():
            return await self._users.admins()

    def is_person(self, user_id: str) -> bool:
        """Return whether this is the ID of a user."""
        return bool(_USER_ID.fullmatch(user_id))

    async def send(self, tenant_id: str, user_id: str, notice: ButtonNotice) -> None:
        """Send the notice as a direct message. Raises SurfaceError."""
        await self._replies.send_notice(user_id, render.button_notice(notice))

    async def post(self, channel_id: str, text: str) -> None:
        """Post a message of Markdown to a channel. Raises SurfaceError."""
        await self._replies.post_to_channel(
            channel_id, {"text": render.fallback(text), "blocks": [render.markdown(text)]}
        )

    async def audience(self, channel_id: str) -> Audience:
        """Return who reads a channel. Never raises for Slack errors."""
        return await self._readers.of_channel(channel_id)

    async def public_channels(self, channel_ids: Collection[str]) -> set[str]:
        """Return those of the channels that every member may read. Raises SurfaceError."""
        return {one for one in channel_ids if one.startswith("C") and await self._replies.is_public(one)}


class SlackMessenger:
    """The ``PlatformMessenger`` of the workspaces that this process serves.

    ``tenants`` returns their tenants, ``messenger_of`` the messenger of one of them, and ``surface_of`` where a turn is
    shown.
    """

    platform: Platform = "slack"

    def __init__(
        self,
        tenants: Callable[[], Awaitable[list[str]]],
        messenger_of: Callable[[str], WorkspaceMessenger],
        surface_of: Callable[[Turn], Surface],
    ) -> None:
        self._tenants = tenants
        self._messenger_of = messenger_of
        self._surface_of = surface_of

    def surface(self, turn: Turn) -> Surface:
        """Return where the reply to a turn is shown."""
        return self._surface_of(turn)

    async def served(self) -> Sequence[str]:
        """Return the tenants of the workspaces. Raises SurfaceError, StoreAway."""
        return await self._tenants()

    async def admins(self, tenant_id: str) -> Sequence[str]:
        """Return the admins and owners of the workspace. Raises SurfaceError."""
        return await self._messenger_of(tenant_id).admins(tenant_id)

    def is_person(self, user_id: str) -> bool:
        """Return whether this is the ID of a user."""
        return bool(_USER_ID.fullmatch(user_id))

    async def post(self, tenant_id: str, channel_id: str, text: str) -> None:
        """Post a message of Markdown to a channel. Raises SurfaceError."""
        await self._messenger_of(tenant_id).post(channel_id, text)

    async def audience(self, tenant_id: str, channel_id: str) -> Audience:
        """Return who reads a channel. Never raises for Slack errors."""
        return await self._messenger_of(tenant_id).audience(channel_id)

    async def public_channels(self, tenant_id: str, channel_ids: Collection[str]) -> set[str]:
        """Return those of the channels that every member may read. Raises SurfaceError."""
        return await self._messenger_of(tenant_id).public_channels(channel_ids)

    async def send(self, tenant_id: str, user_id: str, notice: ButtonNotice) -> None:
        """Send the notice as a direct message. Raises SurfaceError."""
        await self._messenger_of(tenant_id).send(tenant_id, user_id, notice)
