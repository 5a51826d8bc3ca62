"""Checks the URL of a remote git repository and holds git to the addresses that were checked."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from aiohttp.abc import ResolveResult

from knowledge.errors import SourceError
from knowledge.sources.checked_resolver import AddressRefusedError, CheckedResolver
from knowledge.sources.git_tunnel import GitTunnel
from knowledge.sources.web_address import require_web_address

_PATH = re.compile(r"/[A-Za-z0-9._~%!$&'()*+,;=:@/-]+")


@dataclass(frozen=True, slots=True)
class GitRemote:
    """A repository's normalized URL, which has one meaning for every URL parser, and its checked addresses."""

    url: str
    host: str
    port: int
    addresses: Sequence[ResolveResult]
    allow: Sequence[str]

    @property
    def settings(self) -> tuple[str, ...]:
        """The git settings that pin the name to the addresses, should git not use the tunnel."""
        if ":" in self.host:
            return ()
        addresses = ",".join(f"[{each['host']}]" if ":" in each["host"] else each["host"] for each in self.addresses)
        return (f"http.curloptResolve={self.host}:{self.port}:{addresses}",)

    def tunnel(self) -> GitTunnel:
        """Return the only way by which git may reach the repository."""
        return GitTunnel(self.host, self.port, self.addresses, self.allow)


async def checked_remote(url: str, allow: Sequence[str]) -> GitRemote:
    """Check the URL of a repository. Raises SourceError.

    It is an error if the URL is not one of a repository, does not resolve or has a private address.
    """
    address = require_web_address(url)
    host, port = address.raw_host or "", address.port or 0
    # The path is taken from the text: a URL with a space or a backslash has several meanings.
    path = re.sub(r"^[^:]+://[^/?#]*", "", url).partition("#")[0].partition("?")[0]
    if not _PATH.fullmatch(path):
        raise SourceError(f"{url} is not the URL of a repository. Write it as https://example.org/team/name.git.")
    try:
        addresses = await CheckedResolver(allow).resolve(host, port)
    except AddressRefusedError as error:
        raise SourceError(f"{error}.") from None
    except (OSError, UnicodeError, ValueError):
        raise SourceError(f"{url} cannot be reached. Check the URL and the network.") from None
    bracketed = f"[{host}]" if ":" in host else host
    return GitRemote(f"{address.scheme}://{bracketed}:{port}{path}", host, port, addresses, allow)
