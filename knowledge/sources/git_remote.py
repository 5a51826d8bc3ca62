"""Checks the URL of a remote git repository and pins its host name to the address that was checked."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from knowledge.errors import SourceError
from knowledge.sources.checked_resolver import AddressRefusedError, CheckedResolver
from knowledge.sources.web_client import PageError, check_url

_HOST = re.compile(r"[a-z0-9._-]+|\[[0-9a-f:.]+\]")
_PATH = re.compile(r"/[A-Za-z0-9._~%!$&'()*+,;=:@/-]+")


async def pinned_remote(url: str, allow: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """Return the normalized URL and the git settings that make git connect to the checked address.

    The normalized URL has one meaning for every URL parser, so that git cannot read another host from it. Raises
    SourceError if the URL is not one of a repository, does not resolve or has a private address.
    """
    parts = urlsplit(url)
    try:
        check_url(url, allow)
        name = (parts.hostname or "").rstrip(".").encode("idna").decode().lower()
        port = parts.port or {"http": 80, "https": 443}[parts.scheme]
        host = f"[{name}]" if ":" in name else name
        if not _HOST.fullmatch(host) or not _PATH.fullmatch(parts.path):
            raise PageError(f"{url} is not the URL of a repository; write it as https://example.org/team/name.git.")
        resolved = await CheckedResolver(allow).resolve(name, port)
    except AddressRefusedError as error:
        raise SourceError(f"{error}.") from None
    except (OSError, UnicodeError, ValueError):
        raise SourceError(f"{url} cannot be reached; check the URL and the network.") from None
    addresses = ",".join(f"[{each['host']}]" if ":" in each["host"] else each["host"] for each in resolved)
    settings = () if ":" in name else (f"http.curloptResolve={name}:{port}:{addresses}",)
    return f"{parts.scheme}://{host}:{port}{parts.path}", settings
