"""Parses and applies the entries of PARLEY_FETCH_ALLOW: private addresses, networks and host names that may be fetched.

An entry is for addresses or for names, never for both: ``10.1.*`` is the network 10.1.0.0/16 and does not match the
name ``10.1.evil.example``. The end of a name is always fixed, because anyone can register ``wiki.evil.example``. Does
no I/O.
"""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache

from knowledge.sources.web_address import WebAddressError, ends_in_a_number, normalized_host

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_NETWORK_CHARACTERS = re.compile(r"[0-9a-fA-F:.]+(/[0-9.]+)?")
_ADDRESS_PATTERN = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,3}){0,3})((?:\.\*){1,3})")
_FIRST_LABEL = re.compile(r"[a-z0-9_*-]+")


@lru_cache(maxsize=512)
def parse_entry(entry: str) -> Network | re.Pattern[str]:
    """Return the network, or the pattern of names, that an entry admits.

    Raises ValueError, which says what is wrong and what to write instead.
    """
    text = entry.strip().lower()
    if not text:
        raise ValueError("an entry is empty. Write a host such as wiki.corp or a network such as 10.0.0.0/8")
    if "://" in text or "@" in text or "?" in text:
        raise ValueError(f"{entry} is not a host. Write only the host or network, such as wiki.corp or 10.0.0.0/8")
    if pattern := _ADDRESS_PATTERN.fullmatch(text):
        return _octets_network(entry, pattern[1], pattern[2])
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if ":" in bare or "/" in bare or ends_in_a_number(bare):
        return _network(entry, bare)
    return _name_pattern(entry, text)


def allows(entry: str, host: str, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Return whether an entry admits ``host`` at ``address``. Raises ValueError for an entry that cannot be parsed."""
    admitted = parse_entry(entry)
    if isinstance(admitted, re.Pattern):
        return admitted.fullmatch(host.rstrip(".").lower()) is not None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        # The operating system dials a mapped address over IPv4, so it is the same server.
        return address in admitted or address.ipv4_mapped in admitted
    return address in admitted


def _octets_network(entry: str, octets: str, stars: str) -> Network:
    """Return the network of ``10.1.*`` or ``10.1.*.*``."""
    parts = octets.split(".")
    if len(parts) + stars.count("*") > 4:
        raise ValueError(f"{entry} has more than four parts. Write a network such as 10.1.0.0/16")
    return _network(entry, ".".join([*parts, *["0"] * (4 - len(parts))]) + f"/{8 * len(parts)}")


def _network(entry: str, text: str) -> Network:
    try:
        if not _NETWORK_CHARACTERS.fullmatch(text):
            raise ValueError
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError(
            f"{entry} is not an address or network. Write one such as 10.1.2.3, 10.1.0.0/16 or fd00::/8"
        ) from None


def _name_pattern(entry: str, text: str) -> re.Pattern[str]:
    """Return the pattern of a name. A ``*`` may stand in the first label only."""
    first, dot, rest = text.rstrip(".").partition(".")
    if "*" not in first:
        first, dot, rest = "", "", text
    if "*" in rest or (first and not _FIRST_LABEL.fullmatch(first)) or first.strip("*-_") + rest == "":
        raise ValueError(
            f"{entry} is too open or not a name: a * may stand only in the first part. Write one such as *.corp"
        )
    try:
        fixed = normalized_host(rest) if rest else ""
    except WebAddressError:
        raise ValueError(f"{entry} is not a host name. Write one such as wiki.corp or *.corp") from None
    # No dots or colons in what a * stands for: "fd*" is a name, and must not match the address fd00::1.
    label = r"(?:[a-z0-9_-]+\.)*[a-z0-9_-]+" if first == "*" else re.escape(first).replace(r"\*", "[a-z0-9_-]*")
    return re.compile(label + re.escape(dot) + re.escape(fixed))
