"""Parses PARLEY_WEB_URL, the address under which browsers reach the page through a reverse proxy."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class PublicUrl:
    """A public address. ``netloc`` is the host with its port if that is not the default one.

    ``prefix`` is the path without a trailing slash, and empty for the root.
    """

    scheme: str
    netloc: str
    prefix: str

    @property
    def origin(self) -> str:
        """The origin as browsers send it."""
        return f"{self.scheme}://{self.netloc}"

    @property
    def secure(self) -> bool:
        """Whether browsers use TLS, so that cookies can be limited to it."""
        return self.scheme == "https"

    def page(self, name: str = "") -> str:
        """Return the complete URL of a page."""
        return f"{self.origin}{self.prefix}/{name}"


def parse(value: str) -> PublicUrl:
    """Parse an address that the settings have validated."""
    parts = urlsplit(value)
    host = (parts.hostname or "").lower()
    host = f"[{host}]" if ":" in host else host
    scheme = parts.scheme.lower()
    port = f":{parts.port}" if parts.port and parts.port != _DEFAULT_PORTS[scheme] else ""
    return PublicUrl(scheme, f"{host}{port}", parts.path.rstrip("/"))


def normalized_origin(origin: str) -> str:
    """Return an Origin header without the default port; an empty string if it is not an origin."""
    try:
        parts = urlsplit(origin)
        if parts.scheme.lower() not in _DEFAULT_PORTS or not parts.hostname:
            return ""
        return parse(f"{parts.scheme}://{parts.netloc}").origin
    except ValueError:
        return ""
