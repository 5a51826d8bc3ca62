"""Builds the components of each Slack workspace, and finds the workspace of an event or a turn."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

import aiohttp

from bot.commands.services import Services
from bot.config import Settings
from bot.engine.dispatch.reactions import Reactions
from bot.engine.ports.surface import Surface
from bot.errors import ConfigError
from bot.platforms.slack import web_client
from bot.platforms.slack.admin_messages import WorkspaceMessenger
from bot.platforms.slack.background_tasks import BackgroundTasks
from bot.platforms.slack.bot_tokens import BotTokenSource
from bot.platforms.slack.channel_history import ChannelAccess
from bot.platforms.slack.channel_readers import ChannelReaders
from bot.platforms.slack.command_replies import ReplySender
from bot.platforms.slack.command_runner import CommandRunner
from bot.platforms.slack.event_listeners import EventListeners
from bot.platforms.slack.file_downloads import FileDownloads
from bot.platforms.slack.installation.installations import Installations, InstallationToken
from bot.platforms.slack.name_directory import NameDirectory
from bot.platforms.slack.payloads import BotUser
from bot.platforms.slack.reactions import ReactionListener
from bot.platforms.slack.shared_files import SharedFiles
from bot.platforms.slack.shortcuts import MessageShortcuts
from bot.platforms.slack.stream_policy import StreamPolicy
from bot.platforms.slack.thread_context import ThreadContext
from bot.platforms.slack.thread_status import ThreadStatus
from bot.platforms.slack.turn_surface import surface_for_turn
from bot.platforms.slack.users import UserDirectory
from bot.types.turns import Turn

if TYPE_CHECKING:
    from bot.engine.dispatch.dispatcher import Dispatcher


@dataclass(frozen=True, slots=True)
class SharedResources:
    """The resources that all workspaces of a process share."""

    dispatcher: Dispatcher
    services: Services
    settings: Settings
    session: aiohttp.ClientSession
    background: BackgroundTasks


class EventHandlers(NamedTuple):
    """The event handlers of a workspace."""

    bot: BotUser
    listeners: EventListeners
    shortcuts: MessageShortcuts
    reactions: ReactionListener


class Workspace:
    """One workspace: its clients, users, surfaces and event handlers, all with its own token."""

    def __init__(
        self, shared: SharedResources, tokens: BotTokenSource, bot_user: Callable[[], Awaitable[BotUser]]
    ) -> None:
        """``bot_user`` returns the bot's current identity, which changes with a reinstallation; raises SurfaceError."""
        settings, session = shared.settings, shared.session
        self._shared = shared
        self._bot_user = bot_user
        self.clients = web_client.create_clients(settings, session, tokens)
        client = self.clients.retrying
        self.users = UserDirectory(client, settings.admins, bot_user)
        self.names = NameDirectory(client, self.users)
        self.readers = ChannelReaders(client, self.users)
        max_bytes = settings.max_file_mb * 1_000_000
        self.downloads = FileDownloads(session, tokens, web_client.api_url(settings), max_bytes=max_bytes)
        self.files = SharedFiles(client, self.downloads)
        self.replies = ReplySender(client, session)
        self.messenger = WorkspaceMessenger(self.users, self.replies, self.readers)
        self._context = ThreadContext(client, self.files, self.users, self.names, own_bot_id=self._own_bot_id)
        self.command_runner = CommandRunner(
            self.replies, shared.services, self.readers, channels=ChannelAccess(client), context=self._context
        )
        self._status = ThreadStatus()
        self._streams: StreamPolicy | None = None
        self._handlers: EventHandlers | None = None

    def surface(self, turn: Turn) -> Surface:
        """Return the surface for the reply to a turn of this workspace."""
        if self._streams is None:
            pacing = self._shared.services.workspace_pacing.of(turn.thread.tenant_id, turn.thread.platform)
            self._streams = StreamPolicy(self._shared.settings.slack_streaming, self._team_of, pacing)
        return surface_for_turn(self.clients.single_attempt, turn, self._context, self._streams, self._status)

    async def handlers(self) -> EventHandlers:
        """Return the event handlers. Raises SurfaceError if the app is no longer installed."""
        bot = await self._bot_user()
        if self._handlers is None or self._handlers.bot != bot:
            self._handlers = EventHandlers(
                bot, self._create_listeners(bot), self._create_shortcuts(bot), self._create_reactions(bot)
            )
        return self._handlers

    async def close(self) -> None:
        """Cancel user lookups and leave the connection pool. Answers in progress are still written."""
        await self.readers.close()
        await self.users.close()
        await self.clients.retrying.detach(grace=0.0)
        await self.clients.single_attempt.detach()

    async def tenant(self) -> str:
        """Return the tenant of the workspace. Raises SurfaceError."""
        return (await self._bot_user()).tenant_id

    async def _own_bot_id(self) -> str:
        return (await self._bot_user()).bot_id

    async def _team_of(self, user_id: str) -> str:
        """Return the workspace in which a user reads: this one, or their own if they are of another organization."""
        own = (await self._bot_user()).team_id
        is_outsider = (await self.users.author(user_id)).standing == "outsider"
        return own if own and not is_outsider else await self.users.team(user_id) or own

    def _create_listeners(self, bot: BotUser) -> EventListeners:
        return EventListeners(
            self._shared.dispatcher,
            bot,
            client=self.clients.retrying,
            users=self.users,
            names=self.names,
            context=self._context,
            readers=self.readers,
            files=self.files,
            replies=self.replies,
            command_runner=self.command_runner,
            background=self._shared.background,
            surface_for=self.surface,
        )

    def _create_shortcuts(self, bot: BotUser) -> MessageShortcuts:
        return MessageShortcuts(
            self._shared.dispatcher,
            bot,
            client=self.clients.retrying,
            users=self.users,
            names=self.names,
            readers=self.readers,
            replies=self.replies,
            command_runner=self.command_runner,
            background=self._shared.background,
            surface_for=self.surface,
        )

    def _create_reactions(self, bot: BotUser) -> ReactionListener:
        services = self._shared.services
        return ReactionListener(
            Reactions(self._shared.dispatcher, services.stores),
            services,
            bot,
            users=self.users,
            messenger=self.messenger,
            background=self._shared.background,
            saving=self._shared.settings.save_emoji,
        )


class Workspaces(Protocol):
    """The workspaces that this process serves."""

    async def of_event(self, team_id: str | None, enterprise_id: str | None, *, org_wide: bool) -> Workspace | None:
        """Return the workspace of an event; None if the app is not installed there."""

    def of_tenant(self, tenant_id: str) -> Workspace:
        """Return the workspace of a tenant, such as that of a stored turn."""

    async def tenants(self) -> list[str]:
        """Return the tenants of the workspaces. Raises SurfaceError, StoreAway."""

    async def remove(self, team_id: str | None, enterprise_id: str | None, removed_at: float) -> None:
        """Handle the removal of the app from a workspace at ``removed_at`` (Unix time)."""

    async def maintain(self) -> None:
        """Do what is due from time to time. Raises StoreAway."""

    async def close(self) -> None: ...


class SingleWorkspace:
    """The one workspace whose token is in the settings."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    async def of_event(self, team_id: str | None, enterprise_id: str | None, *, org_wide: bool) -> Workspace | None:
        return self._workspace

    def of_tenant(self, tenant_id: str) -> Workspace:
        return self._workspace

    async def tenants(self) -> list[str]:
        return [await self._workspace.tenant()]

    async def remove(self, team_id: str | None, enterprise_id: str | None, removed_at: float) -> None:
        raise ConfigError("The Slack app was removed from the workspace. Reinstall it, and set SLACK_BOT_TOKEN.")

    async def maintain(self) -> None:
        """Do nothing: the token from the settings is not renewed."""

    async def close(self) -> None:
        await self._workspace.close()


class InstalledWorkspaces:
    """The workspaces that installed the app themselves."""

    def __init__(self, shared: SharedResources, installations: Installations) -> None:
        self._shared = shared
        self._installations = installations
        self._workspaces: dict[str, Workspace] = {}

    async def of_event(self, team_id: str | None, enterprise_id: str | None, *, org_wide: bool) -> Workspace | None:
        key = await self._installations.find(team_id, enterprise_id, org_wide=org_wide)
        return self._workspace(key) if key else None

    def of_tenant(self, tenant_id: str) -> Workspace:
        return self._workspace(self._installations.of_tenant(tenant_id))

    async def tenants(self) -> list[str]:
        return await self._installations.tenants()

    async def remove(self, team_id: str | None, enterprise_id: str | None, removed_at: float) -> None:
        key = await self._installations.remove(team_id, enterprise_id, removed_at=removed_at)
        workspace = self._workspaces.pop(key, None) if key else None
        if workspace is not None:
            await workspace.close()

    async def maintain(self) -> None:
        """Store the renewed tokens that could not be stored before."""
        await self._installations.store_renewed()

    async def close(self) -> None:
        for workspace in self._workspaces.values():
            await workspace.close()

    def _workspace(self, key: str) -> Workspace:
        if key not in self._workspaces:

            async def bot_user() -> BotUser:
                return await self._installations.bot_user(key)

            self._workspaces[key] = Workspace(self._shared, InstallationToken(self._installations, key), bot_user)
        return self._workspaces[key]
