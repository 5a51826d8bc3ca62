"""The discord.py client: connects, syncs slash commands, catches up on missed messages and dispatches events."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import discord
import yarl

from bot.commands.regular_notices import NOTICE_SECONDS, tell_regularly
from bot.engine.dispatch.reactions import Reactions
from bot.errors import ParleyError, PlatformAway, StoreAway, for_operator
from bot.platforms.discord import catch_up, parse, slash_commands
from bot.platforms.discord.admin_messages import DiscordMessenger
from bot.platforms.discord.channel_history import Channels
from bot.platforms.discord.channel_readers import ChannelReaders
from bot.platforms.discord.command_runner import CommandRunner, Commands
from bot.platforms.discord.connection import skip_unparsable_events
from bot.platforms.discord.handler_tasks import HandlerTasks
from bot.platforms.discord.interactions import Interactions
from bot.platforms.discord.message_events import MessageEvents
from bot.platforms.discord.message_reader import MessageReader
from bot.platforms.discord.reactions import ReactionEvents
from bot.platforms.discord.render import NO_MENTIONS
from bot.platforms.discord.surface import DiscordSurface
from bot.types.conversation import LOCAL_TENANT
from bot.types.turns import Turn

if TYPE_CHECKING:
    from bot.commands.services import Services
    from bot.config import Settings
    from bot.engine.dispatch.dispatcher import Dispatcher

log = logging.getLogger(__name__)

MAX_RATE_LIMIT_WAIT = 30.0
"""Longest rate limit, in seconds, that the library waits out itself. A longer one is reported to the engine."""

DIRECT_MESSAGE_SHARD = 0
"""The shard that receives direct messages."""


def intents(*, content: bool) -> discord.Intents:
    """Return the minimum intents: servers, and messages and emoji there and in direct messages.

    ``content`` adds the content of messages that do not mention the bot.
    """
    return discord.Intents(
        guilds=True,
        guild_messages=True,
        dm_messages=True,
        guild_reactions=True,
        dm_reactions=True,
        message_content=content,
    )


class ParleyClient(discord.AutoShardedClient):
    """Receives Discord's events. A restart loses no state."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        services: Services,
        settings: Settings,
        *,
        commands: Commands,
        ready: asyncio.Event | None = None,
        content: bool = True,
        notice_seconds: float = NOTICE_SECONDS,
    ) -> None:
        super().__init__(
            intents=intents(content=content),
            allowed_mentions=NO_MENTIONS,
            max_messages=None,
            member_cache_flags=discord.MemberCacheFlags.none(),
            chunk_guilds_at_startup=False,
            max_ratelimit_timeout=MAX_RATE_LIMIT_WAIT,
        )
        skip_unparsable_events(self._connection.parsers)
        self._dispatcher = dispatcher
        self._settings = settings
        self._ready_event = ready
        self._notice_seconds = notice_seconds
        self._tasks = HandlerTasks()
        self._readers = ChannelReaders(self, self.tenant_of, settings.admins)
        self._reader = MessageReader(self)
        self._runner = CommandRunner(commands, services, lambda user: Channels(self, user))
        self._interactions = Interactions(
            dispatcher,
            self._runner,
            surface_for=self.surface_for,
            tenant_of=self.tenant_of,
            readers=self._readers,
            reader=self._reader,
            tasks=self._tasks,
        )
        self._messages = MessageEvents(
            self,
            dispatcher,
            self._runner,
            surface_for=self.surface_for,
            tenant_of=self.tenant_of,
            admins=settings.admins,
            readers=self._readers,
            reader=self._reader,
            tasks=self._tasks,
            content_intent=content,
        )
        self._reactions = ReactionEvents(
            self,
            Reactions(dispatcher, services.stores),
            services,
            tenant_of=self.tenant_of,
            admins=settings.admins,
            tasks=self._tasks,
        )
        self.tree = slash_commands.build_tree(self, commands.COMMANDS, self._interactions.handlers())
        self._disconnected_at: dict[int, datetime] = {}
        self._caught_up = False

    def surface_for(self, turn: Turn) -> DiscordSurface:
        """Return the place where a stored turn's reply is shown."""
        return DiscordSurface(self, turn, self._reader)

    def tenant_of(self, guild_id: int | None) -> str:
        """Return the tenant of a server. Direct messages belong to the home tenant if any of the bot's servers does."""
        if guild_id is None and any(self.tenant_of(guild.id) == LOCAL_TENANT for guild in self.guilds):
            return LOCAL_TENANT
        return self._settings.tenant_of(parse.workspace(guild_id), alone=len(self.guilds) == 1)

    # --- connecting

    async def setup_hook(self) -> None:
        """Register the slash commands if they changed. If that fails, mentions still work."""
        try:
            if await slash_commands.sync(self, self.tree):
                log.info("registered %d slash commands with Discord", len(self._runner.commands.COMMANDS))
        except discord.DiscordException as error:
            log.warning("the slash commands could not be registered with Discord: %s", for_operator(error))

    async def launch_shard(self, gateway: yarl.URL, shard_id: int, *, initial: bool = False) -> None:
        """Connect a shard to DISCORD_GATEWAY_URL if it is set, else to the gateway that Discord names."""
        configured = self._settings.discord_gateway_url
        await super().launch_shard(yarl.URL(configured) if configured else gateway, shard_id, initial=initial)

    async def on_ready(self) -> None:
        """Resume the turns that an earlier process left, and catch up on missed messages after the first connect."""
        log.info("connected to Discord as %s, on %d servers", self.user, len(self.guilds))
        first, self._caught_up = not self._caught_up, True
        catching_up = asyncio.create_task(self._catch_up(), name="catch up on Discord messages") if first else None
        await self.resume_turns()
        if self._ready_event is not None:
            self._ready_event.set()
        if catching_up is not None:
            await catching_up

    async def on_shard_disconnect(self, shard_id: int) -> None:
        """Store the time since when the shard may miss messages."""
        self._disconnected_at.setdefault(shard_id, datetime.now(UTC))

    async def on_shard_resumed(self, shard_id: int) -> None:
        """Clear the time of the disconnect, because a resumed session delivers the missed messages."""
        self._disconnected_at.pop(shard_id, None)

    async def on_shard_ready(self, shard_id: int) -> None:
        """Catch up on what the shard missed if its session could not be resumed and a new one was started."""
        disconnected_at = self._disconnected_at.pop(shard_id, None)
        if disconnected_at is not None:
            await self._catch_up(disconnected_at, shard_id)

    # --- missed messages

    async def _catch_up(self, disconnected_at: datetime | None = None, shard_id: int | None = None) -> None:
        """Handle the messages sent while no process was connected; known messages change nothing.

        With ``shard_id``, handle what that shard missed since ``disconnected_at``; else what was missed since the last
        process was connected.

        While the database is unavailable or Discord does not answer, it tries again. This process counts as connected
        only afterwards, so that the next process reads from where the last one stopped. Channels for which Discord does
        not answer are given up after ``MAX_ATTEMPTS``.
        """
        attempts_left, pause = catch_up.MAX_ATTEMPTS, catch_up.STORE_RETRY_SECONDS
        with self._tasks.track():
            while not self.is_closed():
                wait = catch_up.STORE_RETRY_SECONDS
                try:
                    if attempts_left:
                        await self._handle_missed(disconnected_at, shard_id)
                    await self._dispatcher.mark_serving("discord")
                    return
                except StoreAway as away:
                    log.warning("missed Discord messages are read later: %s", for_operator(away))
                except PlatformAway as away:
                    log.warning("missed Discord messages could not all be read: %s", away)
                    attempts_left -= 1
                    wait, pause = pause, min(2 * pause, catch_up.LONGEST_PAUSE)
                except (ParleyError, discord.DiscordException) as error:
                    log.warning("missed Discord messages could not be read: %s", for_operator(error))
                    return
                await asyncio.sleep(wait)

    async def _handle_missed(self, disconnected_at: datetime | None, shard_id: int | None) -> None:
        last_connected = disconnected_at or await self._dispatcher.last_served("discord")
        since = catch_up.missed_since(last_connected, datetime.now(UTC))
        if since is None:
            return
        guilds = [guild for guild in self.guilds if shard_id in (None, guild.shard_id)]
        wants_direct = shard_id in (None, DIRECT_MESSAGE_SHARD)
        channel_ids = await self._dispatcher.direct_channels("discord") if wants_direct else ()
        direct = [self.get_partial_messageable(int(one)) for one in channel_ids if one.isdecimal()]
        async for message in catch_up.missed_messages(guilds, direct, since):
            await self.on_message(message)

    # --- turns of other processes, and shutdown

    async def resume_turns(self) -> None:
        """Start orphaned turns: those whose lease no live process holds. Never raises."""
        if self.is_closed() or self._tasks.draining:
            return
        try:
            resumed = await self._dispatcher.resume("discord", self.surface_for)
        except Exception as error:
            log.warning("orphaned turns could not be resumed: %s", for_operator(error))
            return
        if resumed:
            log.info("resumed %d turns", resumed)

    async def tell_regularly(self) -> None:
        """Send the notices that no event triggers, until cancelled."""
        messenger = DiscordMessenger(self, self.tenant_of, self.surface_for)
        await tell_regularly(self._runner.services, messenger, self._notice_seconds)

    async def drain(self) -> None:
        """Let running answers finish while the connection is open. New messages are left to the next process."""
        self._tasks.draining = True
        await self._dispatcher.close()

    async def cancel_handlers(self) -> None:
        """Cancel the running event handlers, so that closing leaves no task behind."""
        await self._tasks.cancel()

    # --- events

    async def on_message(self, message: discord.Message) -> None:
        """Pass on a new message."""
        await self._messages.created(message)

    async def on_raw_message_edit(self, payload: discord.RawMessageUpdateEvent) -> None:
        """Pass on an edited message."""
        await self._messages.edited(payload)

    async def on_raw_message_delete(self, payload: discord.RawMessageDeleteEvent) -> None:
        """Pass on a deleted message."""
        await self._messages.deleted(payload.guild_id, payload.channel_id, {payload.message_id})

    async def on_raw_bulk_message_delete(self, payload: discord.RawBulkMessageDeleteEvent) -> None:
        """Pass on many messages deleted at once."""
        await self._messages.deleted(payload.guild_id, payload.channel_id, payload.message_ids)

    async def on_raw_reaction_add(self, payload: discord.RawReactionActionEvent) -> None:
        """Pass on an emoji that was added to a message."""
        await self._reactions.changed(payload)

    async def on_raw_reaction_remove(self, payload: discord.RawReactionActionEvent) -> None:
        """Pass on an emoji that was removed from a message."""
        await self._reactions.changed(payload)

    async def on_interaction(self, interaction: discord.Interaction) -> None:
        """Pass on a button or a modal. Slash commands and message menus arrive through the command tree."""
        await self._interactions.handle_component(interaction)
