"""Runs the checks of the web part for ``parley doctor``: sign-in, TLS, and the OpenID Connect provider."""

from __future__ import annotations

from bot.config import Settings
from bot.errors import ConfigError
from bot.platforms.web.sign_in.openid_connect import OpenIdConnect, SignInError
from bot.platforms.web.sign_in.sign_in_setup import build_access, require_sign_in, resolves_outside_loopback
from bot.types.checks import Check


async def check(settings: Settings) -> list[Check]:
    """Return the checks for PARLEY_WEB_HOST; a ``--host`` of the start is not known here. Never raises."""
    address = settings.web_url or settings.web_host
    try:
        require_sign_in(settings, settings.web_host)
    except ConfigError as error:
        return [Check.failed("web sign-in", str(error))]
    if not settings.has_web_sign_in:
        return [Check("web sign-in", True, f"{address}, no sign-in; only this machine can open the page")]
    checks = [Check("web sign-in", True, f"{address}, sign-in with {' and '.join(sign_ins(settings))}")]
    if (unencrypted := _unencrypted(settings)) is not None:
        checks.append(unencrypted)
    access = build_access(settings)
    if access.oidc:
        checks.append(await _provider(settings, access.oidc))
    return checks


def sign_ins(settings: Settings) -> list[str]:
    """Return the configured kinds of sign-in, in words."""
    kinds = {
        "a token": settings.web_token,
        "OpenID Connect": settings.oidc_issuer,
        f"the header {settings.web_proxy_header}": settings.web_proxy_header,
    }
    return [words for words, value in kinds.items() if value]


def _unencrypted(settings: Settings) -> Check | None:
    if settings.web_url and settings.web_url.startswith("https://"):
        return None
    if not settings.web_url and not resolves_outside_loopback(settings.web_host):
        return None
    fix = "Put a reverse proxy with TLS in front, and set PARLEY_WEB_URL to its https:// address."
    return Check("web encryption", False, "tokens and answers travel without TLS", fix)


async def _provider(settings: Settings, oidc: OpenIdConnect) -> Check:
    try:
        await oidc.load_metadata()
    except SignInError:
        fix = "Set PARLEY_OIDC_ISSUER to the issuer that the provider names, and check that this machine can reach it."
        return Check("web OpenID Connect", False, f"{settings.oidc_issuer} does not answer as this issuer", fix)
    assert settings.web_url
    detail = f"{settings.oidc_issuer}, redirect URI {settings.web_url.rstrip('/')}/oidc-callback"
    return Check("web OpenID Connect", True, detail)
