"""Renders the sign-in page and its error pages. They work without JavaScript and behind every path prefix."""

from __future__ import annotations

import html
from pathlib import Path
from string import Template

from starlette.responses import HTMLResponse

from bot.platforms.web.sign_in import user_messages

_TEMPLATE = Template((Path(__file__).parent / "sign_in.html").read_text(encoding="utf-8"))


def sign_in_page(
    *, token: bool, oidc: bool, error: str = "", note: str = "", status: int = 200, retry_after: int = 0
) -> HTMLResponse:
    """Return the sign-in page with a form for the token, a link to the provider, or both."""
    parts = [_notice(error, "alert", "sign-in-error"), _notice(note, "status", "sign-in-note")]
    if oidc:
        parts.append(f'<a class="sign-in-button primary" href="oidc-login">{_text(user_messages.PROVIDER_BUTTON)}</a>')
    if oidc and token:
        parts.append(f'<p class="sign-in-or"><span>{_text(user_messages.OR)}</span></p>')
    if token:
        parts.append(
            _token_form(css_class="sign-in-button" if oidc else "sign-in-button primary", has_error=bool(error))
        )
    headers = {"Retry-After": str(retry_after)} if retry_after else {}
    return _page(user_messages.SIGN_IN_TITLE, user_messages.SIGN_IN_LEAD, "\n".join(parts), status, headers)


def error_page(error: str, status: int) -> HTMLResponse:
    """Return the page for a sign-in that failed."""
    body = f"{_notice(error, 'alert', 'sign-in-error')}\n"
    body += f'<a class="sign-in-button primary" href="login">{_text(user_messages.TRY_AGAIN)}</a>'
    return _page(user_messages.SIGN_IN_FAILED, "", body, status, {})


def refusal_page(error: str, status: int) -> HTMLResponse:
    """Return the page for a person who cannot sign in here."""
    return _page(user_messages.SIGN_IN_FAILED, "", _notice(error, "alert", "sign-in-error"), status, {})


def _token_form(*, css_class: str, has_error: bool) -> str:
    invalid = ' aria-invalid="true"' if has_error else ""
    return (
        '<form method="post" action="login">\n'
        f'<label for="token">{_text(user_messages.TOKEN_LABEL)}</label>\n'
        '<input id="token" name="token" type="password" autocomplete="current-password" autocapitalize="off" '
        f'spellcheck="false" required autofocus aria-describedby="token-hint"{invalid}>\n'
        f'<p id="token-hint" class="sign-in-hint">{_text(user_messages.TOKEN_HINT)}</p>\n'
        f'<button class="{css_class}" type="submit">{_text(user_messages.SIGN_IN_BUTTON)}</button>\n'
        "</form>"
    )


def _notice(text: str, role: str, css_class: str) -> str:
    return f'<p class="{css_class}" role="{role}">{_text(text)}</p>' if text else ""


def _text(value: str) -> str:
    return html.escape(value)


def _page(title: str, lead: str, body: str, status: int, headers: dict[str, str]) -> HTMLResponse:
    lead = f'<p class="sign-in-lead">{_text(lead)}</p>' if lead else ""
    content = _TEMPLATE.substitute(title=_text(title), lead=lead, body=body)
    return HTMLResponse(content, status, headers={"Cache-Control": "no-store", **headers})
