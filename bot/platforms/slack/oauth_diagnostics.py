"""What ``parley doctor`` finds where workspaces install the app themselves, and which events have come."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple
from urllib.parse import urlsplit

from bot.config import Settings
from bot.errors import ParleyError
from bot.platforms.slack import connection, errors
from bot.platforms.slack.installations import Installations, Stored
from bot.platforms.slack.manifest import EVENTS, INSTALL_PATH, SCOPES
from bot.store import event_log, slack_workspaces
from bot.store.session import Database
from bot.store.slack_workspaces import Installed

SUBSCRIBE = "Paste the output of `parley manifest slack` under 'App Manifest': it subscribes to every event."
IN_CHANNELS = {"message.channels", "message.groups"}
TOLD_BY_SLACK = {"app_uninstalled", "tokens_revoked", "agent_session_stopped"}
"""Events that may well never come, however right the set-up is."""


class Finding(NamedTuple):
    """As ``Check`` in ``bot.platforms.slack.diagnostics``."""

    name: str
    ok: bool
    detail: str
    fix: str


async def check_many(settings: Settings, database: Database, clock: Callable[[], datetime]) -> list[Finding]:
    """The public address, and each installation. Raises nothing of Slack's."""
    found = [_address(settings)]
    async with connection.pool() as session:
        installations = Installations(database, settings, connection.bare(settings, session), clock=clock)
        made = await slack_workspaces.every(database)
        for one in made:
            stored = Stored(installations, one.tenant_id)
            client = connection.clients(settings, session, stored).patient
            found.append(await _installation(one, client))
            if one.sealed is not None:
                found.append(await events(database, installations.tenant_of(one.tenant_id), one.tenant_id))
    if not made:
        begin = f"{(settings.slack_public_url or '').rstrip('/')}{INSTALL_PATH}"
        found.append(Finding("slack workspaces", True, "none has installed the app yet", f"Open {begin} in a browser."))
    return found


def _address(settings: Settings) -> Finding:
    url = settings.slack_public_url or ""
    heard = f"{url}, heard on {settings.slack_http_host}:{settings.slack_http_port}"
    if urlsplit(url).scheme == "https":
        return Finding("slack requests", True, heard, "")
    return Finding("slack requests", False, heard, "Slack calls https addresses alone: change PARLEY_SLACK_PUBLIC_URL.")


async def _installation(made: Installed, client: connection.WebClient) -> Finding:
    name = f"slack workspace {made.tenant_id.removeprefix('slack:')}"
    if made.sealed is None:
        return Finding(name, True, f"{made.name}: removed the app on {made.removed_at:%Y-%m-%d}; its data stays", "")
    try:
        with errors.translated():
            await client.auth_test()
    except ParleyError as error:
        return Finding(name, False, f"{made.name}: {error}", "Have the app installed again there.")
    missing = sorted(SCOPES.keys() - set(made.scopes.split(","))) if made.scopes else []
    if missing:
        detail = f"{made.name}: lacks {', '.join(missing)}"
        return Finding(name, False, detail, f"Have it installed again at {INSTALL_PATH}, which asks for them.")
    return Finding(name, True, f"{made.name}, installed on {made.installed_at:%Y-%m-%d} by {made.installed_by}", "")


async def events(database: Database, tenant_id: str, where: str) -> Finding:
    """Which kinds of events have come. Slack tells an app nothing of its subscriptions; what comes does."""
    async with database.tenant(tenant_id) as session:
        heard = set(await event_log.heard(session, tenant_id=tenant_id, platform="slack"))
    name = f"slack events of {where.removeprefix('slack:')}"
    if not heard:
        return Finding(
            name, True, "none has come yet", f"Mention the bot in a channel. If it stays silent: {SUBSCRIBE}"
        )
    if "app_mention" in heard and not heard & IN_CHANNELS:
        return Finding(name, False, "mentions come, messages of channels do not, so no follow-up is heard", SUBSCRIBE)
    if heard & IN_CHANNELS and "app_mention" not in heard:
        return Finding(name, True, f"seen: {', '.join(sorted(heard))}; no mention yet", SUBSCRIBE)
    waiting = sorted(set(EVENTS) - heard - TOLD_BY_SLACK)
    unseen = f"; not seen yet: {', '.join(waiting)}" if waiting else ""
    return Finding(name, True, f"seen: {', '.join(sorted(heard))}{unseen}", SUBSCRIBE if waiting else "")
