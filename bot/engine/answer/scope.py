"""Turns the audience of an answer into the scope of its search: what everybody who reads the answer may read."""

from __future__ import annotations

from bot.types.audience import Audience
from bot.types.conversation import ThreadKey
from bot.types.settings import ChannelSettings
from knowledge.types import Filter, Scope


def scope_of(thread: ThreadKey, audience: Audience, settings: ChannelSettings) -> Scope:
    """Return the documents that an answer in the thread may use."""
    tenant_wide = audience.given(settings.external).tenant_wide
    scope = Scope.of_channel(thread.tenant_id, thread.channel_id, tenant_wide=tenant_wide)
    return scope.narrowed(Filter(sources=settings.sources))
