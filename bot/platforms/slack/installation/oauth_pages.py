"""Renders the HTML pages that end an OAuth installation in the browser."""

from __future__ import annotations

from html import escape

from starlette.responses import HTMLResponse

from bot.platforms.slack import user_messages
from bot.platforms.slack.installation.manifest import INSTALL_PATH
from bot.store.slack_workspaces import Installed

HEADERS = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
_PAGE_HEADERS = {**HEADERS, "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}


def installed(installation: Installed) -> HTMLResponse:
    """Return the page for a successful installation, with the next step."""
    team = escape(installation.team_id or installation.enterprise_id)
    app_link = f"slack://app?team={team}&amp;id={escape(installation.app_id)}"
    return _page(
        user_messages.installed_in(escape(installation.name)),
        f'<p>{user_messages.INSTALL_NEXT_STEP}</p><p><a href="{app_link}">{user_messages.INSTALL_OPEN_SLACK}</a></p>',
        200,
    )


def failed(reason: str, status: int) -> HTMLResponse:
    """Return the page for a failed installation: the reason, and a link to start again."""
    start_again = f'<p><a href="{INSTALL_PATH}">{user_messages.INSTALL_START_AGAIN}</a></p>'
    return _page(user_messages.INSTALL_FAILED, f"<p>{escape(reason)}</p>{start_again}", status)


def _page(title: str, body: str, status: int) -> HTMLResponse:
    style = "body{font:16px/1.5 system-ui,sans-serif;max-width:34em;margin:15vh auto;padding:0 1em;color:#1f3a5f}"
    html = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f"<title>{title}</title><style>{style}</style></head><body><h1>{title}</h1>{body}</body></html>"
    )
    return HTMLResponse(html, status, headers=_PAGE_HEADERS)
