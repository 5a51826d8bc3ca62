"""Which addresses may be fetched from. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from fnmatch import fnmatch

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_NAT64 = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("64:ff9b:1::/48"))


def is_public(address: Address) -> bool:
    """Whether the address is one of the open internet, whatever IPv4 address it may carry inside included."""
    inner = _carried(address)
    if inner is not None and not is_public(inner):
        return False
    return address.is_global and not address.is_multicast if inner is None else True


def _carried(address: Address) -> Address | None:
    """The IPv4 address inside a mapped, compatible, 6to4, Teredo or NAT64 one."""
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
    """Whether ``host`` at ``address`` may be fetched: public, or allowed by name (``*.corp``), address or network."""
    return is_public(address) or any(_allows(entry.strip().lower(), host.lower(), address) for entry in allow)


def _allows(entry: str, host: str, address: Address) -> bool:
    try:
        network = ipaddress.ip_network(entry, strict=False)
    except ValueError:
        return fnmatch(host.rstrip("."), entry)
    inner = _carried(address) or address
    return (address.version == network.version and address in network) or (
        inner.version == network.version and inner in network
    )
