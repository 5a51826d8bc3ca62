"""Decides which IP addresses may be fetched from: public ones, and private ones that are allowed. Does no I/O."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from fnmatch import fnmatch

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_NAT64 = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("64:ff9b:1::/48"))


def is_public(address: Address) -> bool:
    """Return whether the address, and any IPv4 address embedded in it, is on the public internet."""
    embedded = _embedded_ipv4(address)
    if embedded is not None and not is_public(embedded):
        return False
    return address.is_global and not address.is_multicast if embedded is None else True


def _embedded_ipv4(address: Address) -> Address | None:
    """Return the IPv4 address inside a mapped, compatible, 6to4, Teredo or NAT64 address; None if there is none."""
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address.ipv4_mapped:
        return address.ipv4_mapped
    if address.sixtofour:
        return address.sixtofour
    if address.teredo:
        return address.teredo[1]
    if any(address in network for network in _NAT64) or int(address) >> 32 == 0:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return None


def may_fetch(host: str, address: Address, allow: Sequence[str]) -> bool:
    """Return whether ``host`` at ``address`` may be fetched from.

    It may if the address is public, or if ``allow`` has the host name (``*.corp``), the address or its network.
    """
    return is_public(address) or any(_allows(entry.strip().lower(), host.lower(), address) for entry in allow)


def _allows(entry: str, host: str, address: Address) -> bool:
    try:
        network = ipaddress.ip_network(entry, strict=False)
    except ValueError:
        return fnmatch(host.rstrip("."), entry)
    embedded = _embedded_ipv4(address) or address
    return (address.version == network.version and address in network) or (
        embedded.version == network.version and embedded in network
    )
