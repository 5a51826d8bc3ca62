"""The client: what comes from the gateway goes to the desk or to a command."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

import discord
import yarl

from bot.commands.base import Reply
from bot.errors import ParleyError, StoreAway, for_operator
from bot.platforms.discord import bot_loop_guard, catch_up, command_replies, parse, slash_commands, user_messages
from bot.platforms.discord.command_runner import Asked, Commands, Orders
from bot.platforms.discord.history import Channels
from bot.platforms.discord.interactions import Interactions
from bot.platforms.discord.surface import NO_MENTIONS, DiscordSurface
from bot.types.conversation import Incoming, ThreadKey
from bot.types.turns import Turn

if TYPE_CHECKING:
    from bot.commands.services import Services
    from bot.config import Settings
    from bot.engine.dispatch.dispatcher import Dispatcher

log = logging.getLogger(__name__)

IN_PLACE = frozenset({"stop", "help"})
"""Commands whose reply is no secret: written as a message they are answered below it, not by a DM."""

LONGEST_WAIT = 30.0
"""Seconds of a rate limit that the library waits out itself; a longer one is told to the engine."""


DIRECT_SHARD = 0
"""The shard that hears direct messages."""
OVERHEARD_SECONDS = 120.0
"""A message that mentions nobody is not answered when it is older: the talk has moved on."""


def intents(*, content: bool) -> discord.Intents:
    """As few as will do: servers, their messages, DMs, and the ``content`` of messages that do not mention the bot."""
    return discord.Intents(guilds=True, guild_messages=True, dm_messages=True, message_content=content)


class Parley(discord.AutoShardedClient):
    """Answers mentions, threads and DMs, runs commands, obeys buttons. Keeps nothing that a restart would lose."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        services: Services,
        settings: Settings,
        *,
        commands: Commands,
        ready: asyncio.Event | None = None,
        content: bool = True,
    ) -> None:
        super().__init__(
            intents=intents(content=content),
            allowed_mentions=NO_MENTIONS,
            max_messages=None,
            member_cache_flags=discord.MemberCacheFlags.none(),
            chunk_guilds_at_startup=False,
            max_ratelimit_timeout=LONGEST_WAIT,
        )
        self._dispatcher = dispatcher
        self._admins = settings.admins
        self._gateway_url = settings.discord_gateway_url
        self._came_up = ready
        self._settings = settings
        self._orders = Orders(commands, services, lambda user: Channels(self, user))
        self._interactions = Interactions(
            dispatcher,
            self._orders,
            surface_for=self.surface_for,
            tenant_of=self.tenant_of,
            admins=settings.admins,
            handling=self._handling,
        )
        self.tree = slash_commands.tree(self, commands.COMMANDS, self._interactions.handlers())
        self._content = content
        self._window = bot_loop_guard.Window()
        self._draining = False
        self._gone_since: dict[int, datetime] = {}
        self._caught_up = False
        self._at_work: set[asyncio.Task[object]] = set()

    def surface_for(self, turn: Turn) -> DiscordSurface:
        """The place where a stored turn's reply goes."""
        return DiscordSurface(self, turn)

    def tenant_of(self, guild_id: int | None) -> str:
        """The tenant of a server; a person in a direct message comes from the only server, where there is one only."""
        return self._settings.tenant_of(parse.workspace(guild_id), alone=len(self.guilds) == 1)

    # --- connecting

    async def setup_hook(self) -> None:
        """Tell Discord the slash commands if they changed; without them mentions still work."""
        try:
            if await slash_commands.sync(self, self.tree):
                log.info("told Discord %d slash commands", len(self._orders.commands.COMMANDS))
        except discord.DiscordException as error:
            log.warning("the slash commands could not be told to Discord: %s", error)

    async def launch_shard(self, gateway: yarl.URL, shard_id: int, *, initial: bool = False) -> None:
        """Connect where DISCORD_GATEWAY_URL says, if it says something; else where Discord does."""
        chosen = yarl.URL(self._gateway_url) if self._gateway_url else gateway
        await super().launch_shard(chosen, shard_id, initial=initial)

    async def on_ready(self) -> None:
        """Go on with what an earlier process left."""
        log.info("connected to Discord as %s, on %d servers", self.user, len(self.guilds))
        first, self._caught_up = not self._caught_up, True
        reading = asyncio.create_task(self._catch_up(), name="what was missed on Discord") if first else None
        await self.take_up()
        if self._came_up is not None:
            self._came_up.set()
        if reading is not None:
            await reading

    async def on_shard_disconnect(self, shard_id: int) -> None:
        """Remember since when messages may be missed; a session that is resumed brings them by itself."""
        self._gone_since.setdefault(shard_id, datetime.now(UTC))

    async def on_shard_resumed(self, shard_id: int) -> None:
        """Nothing was missed."""
        self._gone_since.pop(shard_id, None)

    async def on_shard_ready(self, shard_id: int) -> None:
        """A session that could not be resumed was begun anew: hear what the shard missed."""
        gone_since = self._gone_since.pop(shard_id, None)
        if gone_since is not None:
            await self._catch_up(gone_since, shard_id)

    async def _catch_up(self, gone_since: datetime | None = None, shard_id: int | None = None) -> None:
        """Hear what was said while no process was connected; a message that is known already changes nothing.

        ``shard_id``: what that shard missed ``gone_since`` then; else what the last process did.

        While the database is away it waits: only then does this process count as one that has heard everything, so
        that the next one reads from where the last that had stopped.
        """
        with self._handling():
            while not self.is_closed():
                try:
                    await self._hear_missed(gone_since, shard_id)
                    await self._dispatcher.serves("discord")
                    return
                except StoreAway as away:
                    log.warning("what was said on Discord meanwhile is read later: %s", for_operator(away))
                except (ParleyError, discord.DiscordException) as error:
                    log.warning("what was said while no process was connected could not be read: %s", error)
                    return
                await asyncio.sleep(catch_up.LOOK_AGAIN)

    async def _hear_missed(self, gone_since: datetime | None, shard_id: int | None) -> None:
        since = catch_up.away_since(gone_since or await self._dispatcher.last_served("discord"), datetime.now(UTC))
        if since is None:
            return
        guilds = [guild for guild in self.guilds if shard_id in (None, guild.shard_id)]
        told = await self._dispatcher.direct_channels("discord") if shard_id in (None, DIRECT_SHARD) else ()
        direct = [self.get_partial_messageable(int(one)) for one in told if one.isdecimal()]
        async for message in catch_up.missed(guilds, direct, since):
            await self.on_message(message)

    async def take_up(self) -> None:
        """Start the turns that no live process holds. Never raises."""
        if self.is_closed() or self._draining:
            return
        try:
            started = await self._dispatcher.resume("discord", self.surface_for)
        except Exception as error:
            log.warning("turns left behind could not be taken up: %s", for_operator(error))
            return
        if started:
            log.info("took up %d turns", started)

    async def drain(self) -> None:
        """Let running answers finish while Discord can still be reached; what comes now waits for the next process."""
        self._draining = True
        await self._dispatcher.close()

    async def settle(self) -> None:
        """Break off what is being handled, so that closing leaves nothing behind."""
        tasks = [task for task in self._at_work if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @contextlib.contextmanager
    def _handling(self) -> Iterator[None]:
        task = asyncio.current_task()
        if task is not None:
            self._at_work.add(task)
        try:
            yield
        finally:
            if task is not None:
                self._at_work.discard(task)

    # --- messages

    async def on_message(self, message: discord.Message) -> None:
        """A mention, a follow-up or a DM is accepted before anything is shown; a failure is told to the asker."""
        with self._handling():
            try:
                await catch_up.persistently(partial(self._hear, message), partial(catch_up.say_once, message))
            except ParleyError as error:
                await self._tell(message, str(error))
            except Exception:
                trace = secrets.token_hex(4)
                log.exception("message %s could not be handled, trace %s", message.id, trace)
                await self._tell(message, user_messages.failed(trace))

    async def _hear(self, message: discord.Message) -> None:
        incoming = await self._incoming(message)
        if incoming is None or self.user is None:
            return
        if incoming.kind == "overheard":
            self._overhear(incoming)
            return
        if incoming.kind == "follow_up" and not await self._dispatcher.follows(incoming.thread):
            return
        if await self._too_fast(message, incoming):
            return
        command = (
            self._orders.commands.match(parse.order(message, self.user.id)) if incoming.kind != "follow_up" else None
        )
        if command is not None:
            await self._obey(message, incoming, *command)
            return
        turn = await self._dispatcher.accept(incoming)
        if turn is not None and not self._draining:
            self._dispatcher.start(turn, self.surface_for(turn))

    async def _too_fast(self, message: discord.Message, incoming: Incoming) -> bool:
        pair = (incoming.thread, incoming.author.id)
        heard = self._window.heard(pair, incoming.message_id, incoming.sent_at.timestamp())
        if heard == "warned":
            await catch_up.say_once(message, user_messages.TOO_FAST)
        return heard != "heard"

    def _overhear(self, incoming: Incoming) -> None:
        """Beside the messages that are meant for the bot: whether to speak up takes a search."""
        age = (datetime.now(UTC) - incoming.sent_at).total_seconds()
        if not incoming.text.strip() or self._draining or age > OVERHEARD_SECONDS:
            return
        task = asyncio.create_task(self._speak_up(incoming), name=f"overheard {incoming.message_id}")
        self._at_work.add(task)
        task.add_done_callback(self._at_work.discard)

    async def _speak_up(self, incoming: Incoming) -> None:
        try:
            turn = await self._dispatcher.overheard(incoming)
            if turn is not None and not self._draining:
                self._dispatcher.start(turn, self.surface_for(turn))
        except Exception as error:
            log.warning("message %s mentioned nobody and was passed over: %s", incoming.message_id, error)

    async def _incoming(self, message: discord.Message) -> Incoming | None:
        if self.user is None:
            return None
        tenant = self.tenant_of(message.guild.id if message.guild else None)
        place = await self._place(message)
        incoming = parse.incoming(message, place, self.user.id, tenant=tenant, admins=self._admins)
        unread = incoming is not None and incoming.kind in ("follow_up", "overheard") and not self._content
        return None if unread else incoming

    async def on_raw_message_edit(self, payload: discord.RawMessageUpdateEvent) -> None:
        """A question that was changed is answered again; previews of links arrive as edits too, without a time."""
        message = payload.message
        if message.edited_at is None or not self._concerns(message):
            return
        with self._handling():
            try:
                await catch_up.persistently(partial(self._hear_again, message), partial(catch_up.say_once, message))
            except ParleyError as error:
                await self._tell(message, str(error))
            except Exception:
                trace = secrets.token_hex(4)
                log.exception("the change of message %s could not be handled, trace %s", message.id, trace)
                await self._tell(message, user_messages.failed(trace))

    async def _hear_again(self, message: discord.Message) -> None:
        incoming = await self._incoming(message)
        if incoming is None or self.user is None or incoming.kind == "overheard":
            return
        if self._orders.commands.match(parse.order(message, self.user.id)) is not None:
            return
        if incoming.kind != "follow_up" or await self._dispatcher.follows(incoming.thread):
            turn = await self._dispatcher.edited(incoming)
            if turn is not None and not self._draining:
                self._dispatcher.start(turn, self.surface_for(turn))

    async def on_raw_message_delete(self, payload: discord.RawMessageDeleteEvent) -> None:
        """A question that was deleted is forgotten, and its answer with it."""
        await self._forget(payload.guild_id, payload.channel_id, {payload.message_id})

    async def on_raw_bulk_message_delete(self, payload: discord.RawBulkMessageDeleteEvent) -> None:
        """The same for many at once."""
        await self._forget(payload.guild_id, payload.channel_id, payload.message_ids)

    async def _forget(self, guild_id: int | None, channel_id: int, message_ids: set[int]) -> None:
        with self._handling():
            try:
                channel = self.get_channel(channel_id) or await self.fetch_channel(channel_id)
                parent = channel.parent_id if isinstance(channel, discord.Thread) else channel_id
                thread = parse.key(self.tenant_of(guild_id), str(parent), str(channel_id))
                for message_id in sorted(message_ids):
                    await catch_up.persistently(partial(self._forget_one, thread, str(message_id)), _in_silence)
            except discord.NotFound:
                log.info("messages were deleted with their channel %s", channel_id)
            except (ParleyError, discord.DiscordException) as error:
                log.error("deleted messages of channel %s could not be forgotten: %s", channel_id, error)

    async def _forget_one(self, thread: ThreadKey, message_id: str) -> None:
        await self._dispatcher.deleted(thread, message_id, self.surface_for)

    async def _place(self, message: discord.Message) -> object:
        """The channel of a message; one that the cache does not know (a thread just woken) is fetched."""
        channel = message.channel
        if isinstance(channel, discord.PartialMessageable) and message.guild is not None and self._concerns(message):
            return await self.fetch_channel(channel.id)
        return channel

    def _concerns(self, message: discord.Message) -> bool:
        return not message.author.bot and message.webhook_id is None

    async def _obey(self, message: discord.Message, incoming: Incoming, name: str, arguments: str) -> None:
        if not await self._dispatcher.first(incoming.thread, incoming.message_id):
            return
        inside = incoming.thread.thread_id != incoming.message_id
        asked = Asked(incoming.thread, incoming.author, message.author, inside, incoming.attachments)
        answer = command_replies.MessageAnswer(message, in_place=name in IN_PLACE)
        await command_replies.carry_out(self._orders.runner(name, arguments, asked), answer)

    async def _tell(self, message: discord.Message, text: str) -> None:
        try:
            await command_replies.MessageAnswer(message).finish(Reply(text, private=False))
        except (discord.DiscordException, OSError) as error:
            log.warning("could not tell %s in channel %s: %s", text, message.channel.id, error)

    async def on_interaction(self, interaction: discord.Interaction) -> None:
        """A button or a modal. Slash commands and the menu of a message come by the command tree."""
        await self._interactions.pressed(interaction)


async def _in_silence(_: str) -> None:
    """Nobody waits for it."""
