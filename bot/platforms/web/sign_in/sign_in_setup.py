"""Builds the configured sign-ins from the settings, and refuses to start without one outside loopback."""

from __future__ import annotations

import ipaddress
import secrets
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

from bot.config import Settings
from bot.errors import ConfigError
from bot.platforms.web.public_url import PublicUrl, parse
from bot.platforms.web.sign_in import user_messages
from bot.platforms.web.sign_in.attempt_limit import AttemptLimit
from bot.platforms.web.sign_in.identity import Identity, RoleMap, operator
from bot.platforms.web.sign_in.openid_connect import OpenIdConnect, Provider
from bot.platforms.web.sign_in.session_cookie import Cookies, derive_key
from bot.platforms.web.sign_in.trusted_proxies import ProxySignIn, TrustedProxies, trusted_proxies


@dataclass(frozen=True, slots=True)
class Access:
    """Who may use the page: the public address and the configured sign-ins.

    Without any sign-in everybody is the operator.
    """

    url: PublicUrl | None
    token: str | None
    oidc: OpenIdConnect | None
    proxy: ProxySignIn | None
    cookies: Cookies
    attempts: AttemptLimit
    proxies: TrustedProxies
    clock: Callable[[], float]

    @property
    def is_open(self) -> bool:
        """Whether everybody who reaches the page is the operator."""
        return not (self.token or self.oidc or self.proxy)

    @property
    def has_login_page(self) -> bool:
        """Whether people sign in here, not at a proxy."""
        return bool(self.token or self.oidc)

    def anyone(self) -> Identity:
        """Return the identity of everybody while no sign-in is configured."""
        return operator("none", self.cookies.expires_at())


def build_access(settings: Settings, *, clock: Callable[[], float] = time.time) -> Access:
    """Return the sign-ins of the settings. ``clock`` returns Unix seconds."""
    token = settings.web_token.get_secret_value() if settings.web_token else None
    secret = settings.oidc_client_secret.get_secret_value() if settings.oidc_client_secret else None
    url = parse(settings.web_url) if settings.web_url else None
    named = {"token": token, "oidc": secret and f"{settings.oidc_issuer} {settings.oidc_client_id} {secret}"}
    configured = {name: value for name, value in named.items() if value}
    cookies = Cookies(
        derive_key(configured) if configured else secrets.token_bytes(32),
        url,
        settings.web_session_hours * 3600,
        clock,
    )
    roles = RoleMap(
        frozenset(settings.web_admin_groups), frozenset(settings.web_member_groups), frozenset(settings.admins)
    )
    proxies = trusted_proxies(settings.web_trusted_proxies)
    return Access(
        url=url,
        token=token,
        oidc=_oidc(settings, url, secret, roles, cookies),
        proxy=_proxy(settings, proxies, roles, cookies),
        cookies=cookies,
        attempts=AttemptLimit(clock),
        proxies=proxies,
        clock=clock,
    )


def open_access() -> Access:
    """Return the access of a page without a sign-in."""
    return build_access(Settings.model_construct())


def _oidc(
    settings: Settings, url: PublicUrl | None, secret: str | None, roles: RoleMap, cookies: Cookies
) -> OpenIdConnect | None:
    if not (settings.oidc_issuer and settings.oidc_client_id and secret and url):
        return None
    return OpenIdConnect(
        Provider(
            issuer=settings.oidc_issuer,
            client_id=settings.oidc_client_id,
            client_secret=secret,
            scopes=settings.oidc_scopes,
            groups_claim=settings.oidc_groups_claim,
            redirect_uri=url.page("oidc-callback"),
            roles=roles,
            expires_at=cookies.expires_at,
        )
    )


def _proxy(settings: Settings, proxies: TrustedProxies, roles: RoleMap, cookies: Cookies) -> ProxySignIn | None:
    if not settings.web_proxy_header:
        return None
    return ProxySignIn(settings.web_proxy_header, settings.web_proxy_groups_header, proxies, roles, cookies.expires_at)


# --- the start


def require_sign_in(settings: Settings, host: str) -> None:
    """Raise ConfigError if other people could reach a page without a sign-in. ``host`` is the address to listen on.

    An address that cannot be resolved passes: the attempt to listen on it fails with a better message.
    """
    if settings.has_web_sign_in:
        return
    if resolves_outside_loopback(host):
        raise ConfigError(user_messages.sign_in_needed(f"Other machines can reach {host}"))
    if settings.web_url and not _is_loopback_name(parse(settings.web_url).netloc):
        raise ConfigError(user_messages.sign_in_needed(f"Other people can reach PARLEY_WEB_URL ({settings.web_url})"))


def resolves_outside_loopback(host: str) -> bool:
    """Return whether the address to listen on is reachable from other machines."""
    try:
        address = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)[0][4][0]
    except OSError:
        return False
    return not is_loopback(str(address))


def is_loopback(address: str) -> bool:
    """Return whether a numeric address is a loopback address."""
    try:
        return ipaddress.ip_address(address.partition("%")[0]).is_loopback
    except ValueError:
        return False


def _is_loopback_name(netloc: str) -> bool:
    host = netloc.rpartition("]")[0].lstrip("[") if netloc.startswith("[") else netloc.partition(":")[0]
    return host == "localhost" or is_loopback(host)
