"""Turns the audience of an answer into the scope of its search: what everybody who reads the answer may read."""

from __future__ import annotations

from bot.engine import user_messages
from bot.engine.answer.attempt_state import Attempt
from bot.types.audience import Audience
from bot.types.conversation import ThreadKey
from bot.types.settings import ChannelSettings
from bot.types.turns import TurnRecord
from knowledge.types.scope import Filter, Scope


def explain(attempt: Attempt, record: TurnRecord, *, tenant_wide: bool) -> None:
    """Note below the answer why it uses no documents of the whole tenant, if it does not."""
    if not tenant_wide:
        audience = attempt.turn.audience.given(record.settings.external)
        attempt.journal.notes.append(user_messages.without_tenant(audience.readers, attempt.turn.thread.channel_id))


def scope_of(thread: ThreadKey, audience: Audience, settings: ChannelSettings) -> Scope:
    """Return the documents that an answer in the thread may use."""
    tenant_wide = audience.given(settings.external).tenant_wide
    scope = Scope.of_channel(thread.tenant_id, thread.channel_id, tenant_wide=tenant_wide)
    return scope.narrowed(Filter(sources=settings.sources))
