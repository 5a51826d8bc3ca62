"""Runs the bot's commands with the context of a Discord slash command, mention, button or message menu."""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Protocol

import discord

from bot.commands.base import Channels, Command, Context, OnUpdate, Reply
from bot.engine.ports.surface import TranscriptReader
from bot.types.audience import Audience
from bot.types.conversation import Attachment, Author, ThreadKey

if TYPE_CHECKING:
    from bot.commands.services import Services


class Commands(Protocol):
    """The functions of the module ``bot.commands`` that are used here."""

    @property
    def COMMANDS(self) -> Mapping[str, Command]: ...  # noqa: N802

    def match(self, text: str) -> tuple[str, str] | None: ...

    async def run(self, name: str, args: str, ctx: Context) -> Reply: ...


@dataclasses.dataclass(frozen=True, slots=True)
class CommandRequest:
    """The user who runs a command, the place, and the attached files.

    ``in_thread`` is true in a thread and in a direct message, ``private_thread`` in a thread that fewer people read
    than its channel.
    """

    thread: ThreadKey
    author: Author
    user: discord.Member | discord.User
    in_thread: bool
    audience: Audience
    attachments: tuple[Attachment, ...] = ()
    private_thread: bool = False
    transcripts: TranscriptReader | None = None


class CommandRunner:
    """Runs commands with the application's services."""

    def __init__(
        self,
        commands: Commands,
        services: Services,
        channels_for: Callable[[discord.Member | discord.User], Channels],
    ) -> None:
        self.commands = commands
        self.services = services
        self._channels_for = channels_for

    def prepare(self, name: str, arguments: str, request: CommandRequest) -> Callable[[OnUpdate], Awaitable[Reply]]:
        """Return the command as a function that takes the callback for progress updates."""
        context = Context(
            tenant_id=request.thread.tenant_id,
            platform="discord",
            channel_id=request.thread.channel_id,
            thread_id=request.thread.thread_id if request.in_thread else None,
            author=request.author,
            services=self.services,
            attachments=request.attachments,
            channels=self._channels_for(request.user),
            transcripts=request.transcripts,
            audience=request.audience,
            private_thread=request.private_thread,
        )

        async def run(update: OnUpdate) -> Reply:
            return await self.commands.run(name, arguments, dataclasses.replace(context, update=update))

        return run
