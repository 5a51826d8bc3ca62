"""Everything that speaks with one workspace, and which workspace an event or a turn belongs to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

import aiohttp

from bot.commands.services import Services
from bot.config import Settings
from bot.engine.ports.surface import Surface
from bot.errors import ConfigError
from bot.platforms.slack import connection
from bot.platforms.slack.background_tasks import Errands
from bot.platforms.slack.command_runner import Commands
from bot.platforms.slack.ephemeral import Whisper
from bot.platforms.slack.event_listeners import Listeners
from bot.platforms.slack.files import Downloads
from bot.platforms.slack.history import Channels
from bot.platforms.slack.installations import Installations, Stored
from bot.platforms.slack.native_streams import Streams
from bot.platforms.slack.parse import Me
from bot.platforms.slack.shortcuts import Menus
from bot.platforms.slack.surface import surface_of
from bot.platforms.slack.thread_context import ThreadContext
from bot.platforms.slack.tokens import Tokens
from bot.platforms.slack.users import People
from bot.types.turns import Turn

if TYPE_CHECKING:
    from bot.engine.dispatch.dispatcher import Dispatcher


@dataclass(frozen=True, slots=True)
class House:
    """What the workspaces share."""

    dispatcher: Dispatcher
    services: Services
    settings: Settings
    session: aiohttp.ClientSession
    errands: Errands


class Events(NamedTuple):
    """The entry points of a workspace."""

    me: Me
    listeners: Listeners
    menus: Menus


class Workspace:
    """One workspace: its clients, its people, its surfaces and its entry points, all with its own token."""

    def __init__(self, house: House, tokens: Tokens, me: Callable[[], Awaitable[Me]]) -> None:
        """``me`` tells who the bot is there, anew after an installation; it raises SurfaceError."""
        settings, limit = house.settings, house.settings.max_file_mb * 1_000_000
        self._house = house
        self._me = me
        self.clients = connection.clients(settings, house.session, tokens)
        self.people = People(self.clients.patient, settings.admins)
        self.downloads = Downloads(house.session, tokens, connection.api_url(settings), max_bytes=limit)
        self.whisper = Whisper(self.clients.patient, house.session)
        self.commands = Commands(self.whisper, house.services, channels=Channels(self.clients.patient))
        self._around = ThreadContext(self.clients.patient, self.downloads, self.people, own_bot=self._own_bot)
        self._streams: Streams | None = None
        self._ears: Events | None = None

    def surface(self, turn: Turn) -> Surface:
        """Where the reply to a turn of this workspace goes."""
        if self._streams is None:
            pace = self._house.services.workspace_pacing.of(turn.thread.tenant_id, turn.thread.platform)
            self._streams = Streams(self._house.settings.slack_streaming, self._team, pace)
        return surface_of(self.clients.prompt, turn, self._around, self._streams)

    async def ears(self) -> Events:
        """Its entry points. Raises SurfaceError where the app is not installed there any more."""
        me = await self._me()
        if self._ears is None or self._ears.me != me:
            self._ears = Events(me, self._listeners(me), self._menus(me))
        return self._ears

    async def close(self) -> None:
        """Give up look-ups; answers go on being written."""
        await self.people.close()
        await self.clients.prompt.detach()

    async def _own_bot(self) -> str:
        return (await self._me()).bot_id

    async def _team(self, user_id: str) -> str:
        """The workspace of a person: this one, or one of the organisation that installed the app as a whole."""
        return (await self._me()).team_id or await self.people.team(user_id)

    def _listeners(self, me: Me) -> Listeners:
        return Listeners(
            self._house.dispatcher,
            me,
            client=self.clients.patient,
            people=self.people,
            downloads=self.downloads,
            whisper=self.whisper,
            commands_=self.commands,
            errands=self._house.errands,
            surface_for=self.surface,
        )

    def _menus(self, me: Me) -> Menus:
        return Menus(
            self._house.dispatcher,
            me,
            client=self.clients.patient,
            people=self.people,
            whisper=self.whisper,
            commands=self.commands,
            errands=self._house.errands,
            surface_for=self.surface,
        )


class Workspaces(Protocol):
    """The workspaces that this process serves."""

    async def of(self, team_id: str | None, enterprise_id: str | None, *, as_a_whole: bool) -> Workspace | None:
        """The workspace of an event; None where the app is not installed there."""

    def of_turn(self, turn: Turn) -> Workspace:
        """The workspace of a stored turn."""

    async def removed(self, team_id: str | None, enterprise_id: str | None, told_at: float) -> None:
        """Slack tells that the app was removed; ``told_at`` in seconds since 1970."""

    async def close(self) -> None: ...


class One:
    """The one workspace whose token stands in the settings."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    async def of(self, team_id: str | None, enterprise_id: str | None, *, as_a_whole: bool) -> Workspace | None:
        return self._workspace

    def of_turn(self, turn: Turn) -> Workspace:
        return self._workspace

    async def removed(self, team_id: str | None, enterprise_id: str | None, told_at: float) -> None:
        raise ConfigError("Slack: the app was removed from the workspace; install it again, and set SLACK_BOT_TOKEN.")

    async def close(self) -> None:
        await self._workspace.close()


class Many:
    """Workspaces that installed the app themselves."""

    def __init__(self, house: House, installations: Installations) -> None:
        self._house = house
        self._installations = installations
        self._known: dict[str, Workspace] = {}

    async def of(self, team_id: str | None, enterprise_id: str | None, *, as_a_whole: bool) -> Workspace | None:
        name = await self._installations.find(team_id, enterprise_id, as_a_whole=as_a_whole)
        return self._named(name) if name else None

    def of_turn(self, turn: Turn) -> Workspace:
        return self._named(self._installations.of_tenant(turn.thread.tenant_id))

    async def removed(self, team_id: str | None, enterprise_id: str | None, told_at: float) -> None:
        for name in await self._installations.remove(team_id, enterprise_id, told_at=told_at):
            workspace = self._known.pop(name, None)
            if workspace is not None:
                await workspace.close()

    async def close(self) -> None:
        for workspace in self._known.values():
            await workspace.close()

    def _named(self, name: str) -> Workspace:
        if name not in self._known:

            async def me() -> Me:
                return await self._installations.me(name)

            self._known[name] = Workspace(self._house, Stored(self._installations, name), me)
        return self._known[name]
