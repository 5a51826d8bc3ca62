"""The bot's commands as they are run from Discord, whether by a slash, a mention, a button or a menu."""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Protocol

import discord

from bot.commands.base import Channels, Command, Context, OnUpdate, Reply
from bot.types.conversation import Attachment, Author, ThreadKey

if TYPE_CHECKING:
    from bot.commands.services import Services


class Commands(Protocol):
    """The commands as ``bot.commands`` offers them."""

    @property
    def COMMANDS(self) -> Mapping[str, Command]: ...  # noqa: N802

    def match(self, text: str) -> tuple[str, str] | None: ...

    async def run(self, name: str, args: str, ctx: Context) -> Reply: ...


@dataclasses.dataclass(frozen=True, slots=True)
class Asked:
    """Who runs a command, where, and with which files. ``inside``: in a thread, or in a direct message."""

    thread: ThreadKey
    author: Author
    user: discord.Member | discord.User
    inside: bool
    attachments: tuple[Attachment, ...] = ()


class Orders:
    """Runs commands with what stands behind them."""

    def __init__(
        self,
        commands: Commands,
        services: Services,
        channels_for: Callable[[discord.Member | discord.User], Channels],
    ) -> None:
        self.commands = commands
        self.services = services
        self._channels_for = channels_for

    def runner(self, name: str, arguments: str, asked: Asked) -> Callable[[OnUpdate], Awaitable[Reply]]:
        """The command, ready to be run with somewhere to show its progress."""
        context = Context(
            tenant_id=asked.thread.tenant_id,
            platform="discord",
            channel_id=asked.thread.channel_id,
            thread_id=asked.thread.thread_id if asked.inside else None,
            author=asked.author,
            services=self.services,
            attachments=asked.attachments,
            channels=self._channels_for(asked.user),
        )

        async def run(update: OnUpdate) -> Reply:
            return await self.commands.run(name, arguments, dataclasses.replace(context, update=update))

        return run
