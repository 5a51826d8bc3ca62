"""Reads what reverse proxies add to a request: the client's address, and who has signed in at the proxy."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.types import Scope

from bot.platforms.web.sign_in.identity import Identity, RoleMap, clean_name

MAX_USER_CHARS = 200
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

FORWARDING_HEADERS = ("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip")


def was_forwarded(headers: Headers) -> bool:
    """Return whether a proxy has marked a request as forwarded."""
    return any(name in headers for name in FORWARDING_HEADERS)


@dataclass(frozen=True, slots=True)
class TrustedProxies:
    """The networks of the operator's proxies. Headers of other peers are not believed."""

    networks: tuple[Network, ...] = ()

    def is_trusted(self, address: str) -> bool:
        """Return whether an address is one of the proxies."""
        parsed = _parse(address)
        return parsed is not None and any(parsed in network for network in self.networks)

    def client(self, scope: Scope) -> str:
        """Return the address of the client.

        Behind trusted proxies it is the last address of X-Forwarded-For that is not one of them: everything before it
        was written by the client.
        """
        peer = peer_address(scope)
        if not self.is_trusted(peer):
            return peer
        hops = ",".join(Headers(scope=scope).getlist("x-forwarded-for")).split(",")
        for hop in reversed([hop.strip() for hop in hops if hop.strip()]):
            if not self.is_trusted(hop):
                return hop
        return peer


def trusted_proxies(values: tuple[str, ...]) -> TrustedProxies:
    """Return the proxies for the addresses and networks of the settings."""
    return TrustedProxies(tuple(ipaddress.ip_network(value, strict=False) for value in values))


def peer_address(scope: Scope) -> str:
    """Return the address that the connection comes from; empty if it is unknown."""
    return str(scope["client"][0]) if scope.get("client") else ""


@dataclass(frozen=True, slots=True)
class ProxySignIn:
    """Signs in whom a trusted proxy names in a header."""

    header: str
    groups_header: str | None
    proxies: TrustedProxies
    roles: RoleMap
    expires_at: Callable[[], float]

    def user(self, scope: Scope) -> str | None:
        """Return the user that a trusted proxy names; None without one. A header that occurs twice names nobody."""
        if not self.proxies.is_trusted(peer_address(scope)):
            return None
        values = Headers(scope=scope).getlist(self.header)
        if len(values) != 1 or not 0 < len(user := values[0].strip()) <= MAX_USER_CHARS:
            return None
        return user

    def identity(self, scope: Scope, user: str) -> Identity | None:
        """Return the identity of a user that ``user`` returned; None if they are in no group that may sign in."""
        user_id = f"proxy:{user}"
        role = self.roles.role(user_id, self._groups(scope))
        if role is None:
            return None
        return Identity(user_id, clean_name(user), role == "admin", "proxy", self.expires_at())

    def _groups(self, scope: Scope) -> list[str]:
        values = Headers(scope=scope).getlist(self.groups_header) if self.groups_header else []
        # A second header could come from the client if the proxy appends its own.
        if len(values) != 1:
            return []
        return [group.strip() for group in values[0].split(",") if group.strip()]


def _parse(address: str) -> Address | None:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return None
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped:
        return parsed.ipv4_mapped
    return parsed
