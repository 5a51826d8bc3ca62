"""Protects every request: checks host and origin, limits the body size, and sets security headers.

The host check stops DNS rebinding, where another site points its own name at 127.0.0.1. With a sign-in it is not
needed, because browsers send the session cookie only to the host that set it. The origin check stops other sites from
posting here.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bot.platforms.web import user_messages
from bot.platforms.web.public_url import PublicUrl, normalized_origin
from bot.platforms.web.sign_in.trusted_proxies import was_forwarded
from knowledge.whole_numbers import whole_number

LOOPBACK = ("localhost", "127.0.0.1", "::1")
PROBES = ("/healthz", "/readyz")
UPLOADS = ("/api/upload", "/api/attach")

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "manifest-src 'self'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
SECURITY_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    # With "no-referrer", browsers send forms with the origin "null", which the origin check refuses.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def allowed_hosts(bound_host: str, url: PublicUrl | None = None) -> tuple[str, ...]:
    """Return the host names that requests may use: the bound one first, then the public and the loopback names."""
    public = (urlsplit(url.origin).hostname or "",) if url else ()
    return tuple(dict.fromkeys((bound_host.strip("[]").lower(), *public, *LOOPBACK)))


def host_allowed(header: str, allowed: tuple[str, ...]) -> bool:
    """Return whether a Host header names this server.

    A server bound to all interfaces accepts any IP address too, because DNS rebinding needs a name.
    """
    try:
        name = (urlsplit(f"//{header}").hostname or "").lower()
    except ValueError:
        return False
    return name in allowed or (_is_wildcard(allowed[0]) and _is_ip_address(name))


def origin_allowed(headers: Headers, url: PublicUrl | None = None) -> bool:
    """Return whether a writing request comes from the page itself or from a client that is not a browser.

    ``url`` is the public address, if one is configured. Without it, the origin must have the host of the Host header.
    """
    if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return False
    origin = headers.get("origin")
    if origin is None:
        return True
    if url is not None:
        return normalized_origin(origin) == url.origin
    return urlsplit(origin).netloc.lower() == headers.get("host", "").lower() != ""


def _is_wildcard(host: str) -> bool:
    return host in ("0.0.0.0", "::")  # noqa: S104


def _is_ip_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


class BodyTooLargeError(Exception):
    """The request body is longer than its limit."""


class RequestGuard:
    """ASGI middleware that applies the checks. Limits are in bytes; uploads have their own."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        hosts: tuple[str, ...],
        body_limit: int,
        upload_limit: int,
        url: PublicUrl | None = None,
        has_sign_in: bool = False,
    ) -> None:
        self.app = app
        self.hosts = hosts
        self.body_limit = body_limit
        self.upload_limit = upload_limit
        self.url = url
        self.has_sign_in = has_sign_in

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if self.url is not None and self.url.prefix:
            if scope["path"] == self.url.prefix:
                await _redirect(send, f"{self.url.prefix}/")
                return
            scope = {**scope, "path": _without_prefix(scope["path"], self.url.prefix)}
        headers = Headers(scope=scope)
        limit = self.upload_limit if scope["path"] in UPLOADS else self.body_limit
        if (refusal := self._refusal(scope, headers)) is not None:
            await _refuse(send, *refusal)
        elif _content_length(headers) > limit:
            await _LimitedBody(receive, limit).drain()
            await _refuse(send, 413, too_large(limit))
        else:
            await self._forward(scope, receive, send, limit)

    def _refusal(self, scope: Scope, headers: Headers) -> tuple[int, str] | None:
        """Return the status and message if the host or the origin of a request is refused."""
        if not self.has_sign_in and scope["path"] not in PROBES:
            if not host_allowed(headers.get("host", ""), self.hosts):
                return 421, user_messages.HOST.format(allowed=", ".join(self.hosts))
            if self.url is None and was_forwarded(headers):
                return 403, user_messages.FORWARDED
        if scope["method"] not in ("GET", "HEAD") and not origin_allowed(headers, self.url):
            return 403, user_messages.ORIGIN if self.url is None else user_messages.origin(self.url.page())
        return None

    async def _forward(self, scope: Scope, receive: Receive, send: Send, limit: int) -> None:
        """Run the application with a limited body, and add the security headers to its response."""
        started = False
        body = _LimitedBody(receive, limit)

        async def send_with_headers(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                MutableHeaders(scope=message).update(SECURITY_HEADERS)
            await send(message)

        try:
            await self.app(scope, body.receive, send_with_headers)
        except BodyTooLargeError:
            if started:
                raise
            await body.drain()
            await _refuse(send, 413, too_large(limit))


def _without_prefix(path: str, prefix: str) -> str:
    """Return the path inside the page. A proxy may pass the prefix on or remove it."""
    return path[len(prefix) :] if path.startswith(f"{prefix}/") else path


def too_large(limit: int) -> str:
    """Return the error message for a body over the limit, which is in bytes."""
    size = f"{limit // 1_048_576} MB" if limit >= 1_048_576 else f"{limit // 1024} kB"
    return user_messages.TOO_LARGE.format(limit=size)


def _content_length(headers: Headers) -> int:
    return whole_number(headers.get("content-length", "0")) or 0


class _LimitedBody:
    """Receives a request's body and stops when it exceeds ``limit`` bytes."""

    def __init__(self, receive: Receive, limit: int) -> None:
        self._receive = receive
        self._limit = limit
        self._received = 0
        self._ended = False

    async def receive(self) -> Message:
        """Return the next message of the body. Raises BodyTooLargeError."""
        message = await self._receive()
        self._received += len(message.get("body", b""))
        self._ended = message["type"] != "http.request" or not message.get("more_body", False)
        if self._received > self._limit:
            raise BodyTooLargeError
        return message

    async def drain(self) -> None:
        """Discard the rest of the body, up to three times the limit.

        A browser that is cut off while it sends shows a network error in place of the response.
        """
        self._limit *= 3
        with contextlib.suppress(BodyTooLargeError):
            while not self._ended:
                await self.receive()


async def _refuse(send: Send, status: int, message: str) -> None:
    body = json.dumps({"error": message}).encode()
    headers = {**SECURITY_HEADERS, "Content-Type": "application/json", "Content-Length": str(len(body))}
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})


async def _redirect(send: Send, location: str) -> None:
    headers = {**SECURITY_HEADERS, "Location": location, "Content-Length": "0"}
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": 308, "headers": raw})
    await send({"type": "http.response.body", "body": b""})
