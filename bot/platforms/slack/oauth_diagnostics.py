"""Checks the public address and each installation for ``parley doctor``, if workspaces install the app themselves."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from urllib.parse import urlsplit

from bot.config import Settings
from bot.errors import ParleyError
from bot.platforms.slack import errors, web_client
from bot.platforms.slack.event_diagnostics import check_received_events
from bot.platforms.slack.installation.installations import Installations, InstallationToken
from bot.platforms.slack.installation.manifest import INSTALL_PATH, SCOPES
from bot.store import slack_workspaces
from bot.store.database.session import Database
from bot.store.slack_workspaces import Installed
from bot.types.checks import Check


async def check_installations(settings: Settings, database: Database, clock: Callable[[], datetime]) -> list[Check]:
    """Return the checks of the public address and of each installation. Never raises for Slack errors."""
    checks = [_check_address(settings)]
    async with web_client.http_session() as session:
        client = web_client.tokenless_client(settings, session)
        installations = Installations(database, settings, client, clock=clock)
        installed = await slack_workspaces.every(database)
        for installation in installed:
            workspace = installation.tenant_id
            tokens = InstallationToken(installations, workspace)
            clients = web_client.create_clients(settings, session, tokens)
            checks.append(await _check_installation(installation, clients.retrying))
            if installation.sealed is not None:
                checks.append(await check_received_events(database, installations.tenant_of(workspace), workspace))
    if not installed:
        install_url = f"{(settings.slack_public_url or '').rstrip('/')}{INSTALL_PATH}"
        fix = f"Open {install_url} in a browser."
        checks.append(Check("slack workspaces", True, "no workspace has installed the app yet", fix))
    return checks


def _check_address(settings: Settings) -> Check:
    url = settings.slack_public_url or ""
    detail = f"{url}, listening on {settings.slack_http_host}:{settings.slack_http_port}"
    if urlsplit(url).scheme == "https":
        return Check("slack requests", True, detail, "")
    return Check("slack requests", False, detail, "Slack calls only https addresses: change PARLEY_SLACK_PUBLIC_URL.")


async def _check_installation(installation: Installed, client: web_client.WebClient) -> Check:
    name, team = f"slack workspace {installation.tenant_id.removeprefix('slack:')}", installation.name
    if installation.sealed is None:
        return Check(name, True, f"{team}: app removed on {installation.removed_at:%Y-%m-%d}; its data is kept", "")
    try:
        with errors.translated():
            await client.auth_test()
    except ParleyError as error:
        return Check(name, False, f"{team}: {error}", "Ask the workspace to install the app again.")
    missing = sorted(SCOPES.keys() - set(installation.scopes.split(","))) if installation.scopes else []
    if missing:
        fix = f"Ask the workspace to install the app again at {INSTALL_PATH}, which requests these scopes."
        return Check(name, False, f"{team}: missing scopes: {', '.join(missing)}", fix)
    detail = f"{team}, installed on {installation.installed_at:%Y-%m-%d} by {installation.installed_by}"
    return Check(name, True, detail, "")
