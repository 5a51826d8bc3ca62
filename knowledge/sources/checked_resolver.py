"""Resolves host names and refuses private addresses, which protects against server-side request forgery (SSRF).

The address that was checked is the one that is connected to, so a name that resolves to another address the second time
(DNS rebinding) does not help an attacker.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Sequence

from aiohttp.abc import AbstractResolver, ResolveResult

from knowledge.sources.ip_address_policy import may_fetch
from knowledge.sources.refused_requests import record_refusal


class AddressRefusedError(OSError):
    """The host's address may not be fetched from. It is an OSError so that aiohttp's connector passes it on."""


class CheckedResolver(AbstractResolver):
    """Resolves a host name once and returns its addresses only if all of them may be fetched from."""

    def __init__(self, allow: Sequence[str]) -> None:
        self._allow = allow

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses of the host. Raises AddressRefusedError, and OSError if it does not resolve."""
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM)
        results: list[ResolveResult] = []
        for kind, _, proto, _, endpoint in found:
            address = str(endpoint[0])
            check_address(host, address, self._allow)
            results.append(
                ResolveResult(
                    hostname=host, host=address, port=port, family=kind, proto=proto, flags=socket.AI_NUMERICHOST
                )
            )
        return results

    async def close(self) -> None:
        return None


def check_address(host: str, address: str, allow: Sequence[str], *, reason: str = "address") -> None:
    """Raise AddressRefusedError, which names the setting that allows the host, if it may not be fetched from.

    ``address`` is numeric. Any other text is refused, because the operating system would resolve it again.
    """
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        record_refusal(reason, host, address)
        raise AddressRefusedError(f"{host} has no address that can be checked, so it is not fetched") from None
    if not may_fetch(host, parsed, allow):
        record_refusal(reason, host, address)
        raise AddressRefusedError(
            f"{host} has the private address {address}, which may not be fetched from. "
            f"An operator can allow it with PARLEY_FETCH_ALLOW={host}"
        )
