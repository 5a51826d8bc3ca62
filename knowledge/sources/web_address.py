"""Parses the URL of a web page into the one that is dialed, so that what is checked is what is dialed.

The host is normalized once: international names become ASCII (UTS 46), and every notation of an IPv4 address (decimal,
octal, hexadecimal, short, full-width and circled digits) becomes four decimal numbers.
"""

from __future__ import annotations

import ipaddress
import re

from yarl import URL

from knowledge.errors import SourceError
from knowledge.sources.refused_requests import record_refused_url

MAX_URL_CHARS = 8_000
_NAME = re.compile(r"[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*")
_MAX_NAME_CHARS = 253
_CREDENTIALS = re.compile(r"//[^/?#]*@")
_NUMBER = re.compile(r"0x[0-9a-f]*|[0-9]+")


class WebAddressError(SourceError):
    """The text is not the URL of a web page, or its host has more than one meaning."""


def parse_web_address(text: str) -> URL:
    """Return the URL to dial. Its ``raw_host`` is an ASCII name or a canonical IP address. Raises WebAddressError."""
    shown = _CREDENTIALS.sub("//...@", text)
    shown = shown if len(shown) <= 200 else f"{shown[:200]}..."
    problem = f"{shown} is not a web address. Give a URL that starts with http:// or https://."
    if len(text) > MAX_URL_CHARS:
        raise WebAddressError(problem)
    try:
        url = URL(text)
        host, port = url.raw_host, url.port
        has_credentials = url.raw_user is not None or url.raw_password is not None
    except (ValueError, UnicodeError):
        raise WebAddressError(problem) from None
    if url.scheme not in ("http", "https") or not host or not port:
        raise WebAddressError(problem)
    if has_credentials:
        raise WebAddressError("A URL with a name or password in it is not fetched. Leave them out.")
    try:
        return url.with_host(normalized_host(host))
    except (ValueError, UnicodeError, WebAddressError):
        raise WebAddressError(problem) from None


def require_web_address(text: str) -> URL:
    """Return the URL to dial, as ``parse_web_address`` does, and record a refusal. Raises WebAddressError."""
    try:
        return parse_web_address(text)
    except WebAddressError:
        record_refused_url()
        raise


def normalized_host(host: str) -> str:
    """Return an ASCII name without a final dot, or a canonical IP address. Raises WebAddressError."""
    problem = WebAddressError(f"{host[:100]!r} is not the name or address of a host.")
    if not host.isascii():
        try:
            host = URL.build(scheme="http", host=host).raw_host or ""
        except (ValueError, UnicodeError):
            raise problem from None
    host = host.lower()
    if ":" in host:
        return _canonical_ipv6(host, problem)
    name = host.removesuffix(".")
    if not _NAME.fullmatch(name) or len(name) > _MAX_NAME_CHARS:
        raise problem
    return _canonical_ipv4(name, problem) if ends_in_a_number(name) else name


def ends_in_a_number(host: str) -> bool:
    """Return whether the host is an IPv4 address in some notation: its last part is a number (WHATWG URL standard)."""
    return _NUMBER.fullmatch(host.lower().removesuffix(".").rpartition(".")[2]) is not None


def _canonical_ipv4(name: str, problem: WebAddressError) -> str:
    """Return four decimal numbers for any notation that ``inet_aton`` reads: short, octal or hexadecimal parts."""
    parts = name.split(".")
    if len(parts) > 4 or not all(_NUMBER.fullmatch(part) for part in parts):
        raise problem
    try:
        *heads, last = (_number(part) for part in parts)
        if any(head > 255 for head in heads) or last >= 256 ** (5 - len(parts)):
            raise problem
    except ValueError:
        raise problem from None
    value = last + sum(head << (24 - 8 * at) for at, head in enumerate(heads))
    return str(ipaddress.IPv4Address(value))


def _number(part: str) -> int:
    if part.startswith("0x"):
        return int(part[2:] or "0", 16)
    return int(part, 8) if part.startswith("0") and part != "0" else int(part)


def _canonical_ipv6(host: str, problem: WebAddressError) -> str:
    try:
        address = ipaddress.IPv6Address(host)
    except ValueError:
        raise problem from None
    if address.scope_id is not None:
        raise problem
    return address.compressed
