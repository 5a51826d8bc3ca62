"""Checks which kinds of Slack events have arrived, for ``parley doctor``.

Slack does not report an app's event subscriptions, so they are inferred from the events received.
"""

from __future__ import annotations

from bot.platforms.slack.installation.manifest import EVENTS
from bot.store.database.session import Database
from bot.store.turns import event_log
from bot.types.checks import Check

SUBSCRIBE = "Paste the output of `parley manifest slack` under 'App Manifest': it subscribes to every event."
CHANNEL_EVENTS = {"message.channels", "message.groups"}
RARE_EVENTS = {"app_uninstalled", "tokens_revoked", "agent_session_stopped", "reaction_added", "reaction_removed"}
"""Events that may never arrive even if the setup is correct."""


async def check_received_events(database: Database, tenant_id: str, workspace: str) -> Check:
    """Return the check of the events received from ``workspace``, which shares the documents of ``tenant_id``."""
    async with database.tenant(tenant_id) as session:
        received = set(await event_log.heard(session, tenant_id=tenant_id, platform="slack"))
    name = f"slack events of {workspace.removeprefix('slack:')}"
    if not received:
        fix = f"Mention the bot in a channel. If it does not answer: {SUBSCRIBE}"
        return Check(name, True, "no events received yet", fix)
    if "app_mention" in received and not received & CHANNEL_EVENTS:
        detail = "mentions arrive, but channel messages do not, so the bot misses follow-up questions"
        return Check(name, False, detail, SUBSCRIBE)
    if received & CHANNEL_EVENTS and "app_mention" not in received:
        return Check(name, True, f"received: {', '.join(sorted(received))}; no mention yet", SUBSCRIBE)
    missing = sorted(set(EVENTS) - received - RARE_EVENTS)
    missing_note = f"; not received yet: {', '.join(missing)}" if missing else ""
    return Check(name, True, f"received: {', '.join(sorted(received))}{missing_note}", SUBSCRIBE if missing else "")
