"""What a person sees in the browser while they install the app."""

from __future__ import annotations

from html import escape

from starlette.responses import HTMLResponse

from bot.platforms.slack.manifest import INSTALL_PATH
from bot.store.slack_workspaces import Installed

HEADERS = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
_STRICT = {**HEADERS, "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}


def installed(made: Installed) -> HTMLResponse:
    """It worked: what to do next."""
    where = f" in {escape(made.name)}" if made.name else ""
    again = f"slack://app?team={escape(made.team_id or made.enterprise_id)}&amp;id={escape(made.app_id)}"
    return _page(
        f"Parley is installed{where}",
        "<p>Write <code>/invite @Parley</code> in a channel, then ask it something.</p>"
        f'<p><a href="{again}">Open Slack</a></p>',
        200,
    )


def failed(why: str, status: int) -> HTMLResponse:
    """It did not work: why, and where to begin again."""
    again = f'<p><a href="{INSTALL_PATH}">Begin again</a></p>'
    return _page("Parley was not installed", f"<p>{escape(why)}</p>{again}", status)


def _page(title: str, body: str, status: int) -> HTMLResponse:
    style = "body{font:16px/1.5 system-ui,sans-serif;max-width:34em;margin:15vh auto;padding:0 1em;color:#1f3a5f}"
    html = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f"<title>{title}</title><style>{style}</style></head><body><h1>{title}</h1>{body}</body></html>"
    )
    return HTMLResponse(html, status, headers=_STRICT)
