"""Decides which IP addresses are on the public internet, without the tables of the installed Python.

Does no I/O.

IPv6 is an allow-list: only global unicast (2000::/3) and the prefixes that carry an IPv4 address, which is checked
itself. The special networks are those of the IANA registries (RFC 6890), and a few that answer only inside a cloud.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence

from knowledge.sources.fetch_allow_list import allows

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_SPECIAL_IPV4 = tuple(
    map(
        ipaddress.IPv4Network,
        (
            "0.0.0.0/8",  # this network
            "10.0.0.0/8",  # private
            "100.64.0.0/10",  # behind a carrier's NAT; also 100.100.100.200, the metadata server of Alibaba Cloud
            "127.0.0.0/8",  # loopback
            "168.63.129.16/32",  # the platform server of Azure
            "169.254.0.0/16",  # link-local, and the metadata servers of most clouds
            "172.16.0.0/12",  # private
            "192.0.0.0/24",  # protocol assignments; also 192.0.0.192, the metadata server of Oracle Cloud
            "192.0.2.0/24",  # documentation
            "192.88.99.0/24",  # 6to4 relays
            "192.168.0.0/16",  # private
            "198.18.0.0/15",  # benchmarks
            "198.51.100.0/24",  # documentation
            "203.0.113.0/24",  # documentation
            "224.0.0.0/4",  # multicast
            "240.0.0.0/4",  # reserved, and broadcast
        ),
    )
)
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
_SPECIAL_IPV6 = tuple(
    map(
        ipaddress.IPv6Network,
        (
            "2001::/23",  # protocol assignments: Teredo, benchmarks, ORCHID
            "2001:db8::/32",  # documentation
            "3ffe::/16",  # the former 6bone
            "3fff::/20",  # documentation
        ),
    )
)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_SIXTOFOUR = ipaddress.IPv6Network("2002::/16")
_ISATAP_IDENTIFIERS = (0x00005EFE, 0x02005EFE)
"""The upper half of the interface identifier of an ISATAP address; the lower half is an IPv4 address (RFC 5214)."""


def is_public(address: Address) -> bool:
    """Return whether the address, and any IPv4 address embedded in it, is on the public internet."""
    if isinstance(address, ipaddress.IPv4Address):
        return not _in_any(address, _SPECIAL_IPV4)
    if address.scope_id is not None:
        return False
    if address.ipv4_mapped is not None:
        return is_public(address.ipv4_mapped)
    low = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    if address in _NAT64:
        return is_public(low)
    if address not in _GLOBAL_UNICAST or _in_any(address, _SPECIAL_IPV6):
        return False
    if address in _SIXTOFOUR and not is_public(ipaddress.IPv4Address((int(address) >> 80) & 0xFFFFFFFF)):
        return False
    return (int(address) >> 32) & 0xFFFFFFFF not in _ISATAP_IDENTIFIERS or is_public(low)


def _in_any(address: Address, networks: Iterable[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> bool:
    return any(address in network for network in networks)


def may_fetch(host: str, address: Address, allow: Sequence[str]) -> bool:
    """Return whether ``host`` at ``address`` may be fetched from.

    It may if the address is public, or if an entry of ``allow`` admits the address or the name of the host.
    """
    return is_public(address) or any(allows(entry, host, address) for entry in allow)
