"""Defines what the playground needs from the application: the dispatcher, and the commands with their context."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from bot.commands.base import Command, Context, OnUpdate, Reply
from bot.engine.dispatch.dispatcher import SurfaceFor
from bot.engine.ports.surface import Surface
from bot.types.audience import Audience
from bot.types.conversation import Attachment, Author, Incoming, Platform
from bot.types.turns import Outcome, Turn
from bot.types.usage import Tier


class DispatcherPort(Protocol):
    """The methods of ``bot.engine.dispatch.dispatcher.Dispatcher`` that the playground calls."""

    async def accept(self, incoming: Incoming) -> Turn | None: ...
    def start(self, turn: Turn, surface: Surface) -> asyncio.Task[Outcome]: ...
    async def stop(self, turn_id: str, by: Author, *, tenant_id: str) -> None: ...
    async def repeat(
        self,
        turn_id: str,
        by: Author,
        *,
        tenant_id: str,
        wish: Tier | None,
        audience: Audience,
        place: tuple[Platform, str] | None,
    ) -> Turn: ...
    async def change(
        self, turn_id: str, by: Author, text: str, *, tenant_id: str, audience: Audience
    ) -> Turn | None: ...
    async def forget(self, turn_id: str, by: Author, *, tenant_id: str, surface_for: SurfaceFor) -> Sequence[Turn]: ...
    async def rate(self, turn_id: str, by: Author, *, tenant_id: str, value: int, reason: str = "") -> None: ...
    def runs_here(self, turn_id: str) -> bool: ...
    async def resume(self, platform: Platform, surface_for: SurfaceFor) -> int: ...


class ContextFactory(Protocol):
    """Builds the Context of a command. The services are already bound."""

    def __call__(
        self,
        *,
        thread_id: str | None,
        author: Author,
        attachments: tuple[Attachment, ...],
        update: OnUpdate,
    ) -> Context: ...


@dataclass(frozen=True, slots=True)
class CommandRunner:
    """The available commands, and how to run one. ``run`` raises ParleyError with a message for the user."""

    available: Sequence[Command]
    run: Callable[[str, str, Context], Awaitable[Reply]]
    context: ContextFactory
