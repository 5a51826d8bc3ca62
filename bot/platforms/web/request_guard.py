"""Protects every request: checks host and origin, limits the body size, and sets security headers.

The host check stops DNS rebinding, where another site points its own name at 127.0.0.1. The origin check stops other
sites from posting to localhost.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bot.platforms.web import user_messages

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
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
SECURITY_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def allowed_hosts(bound_host: str) -> tuple[str, ...]:
    """Return the host names that requests may use: the bound one first, then the loopback names."""
    return tuple(dict.fromkeys((bound_host.strip("[]").lower(), *LOOPBACK)))


def host_allowed(header: str, allowed: tuple[str, ...]) -> bool:
    """Return whether a Host header names this server.

    A server bound to all interfaces accepts any IP address too, because DNS rebinding needs a name.
    """
    try:
        name = (urlsplit(f"//{header}").hostname or "").lower()
    except ValueError:
        return False
    return name in allowed or (_is_wildcard(allowed[0]) and _is_ip_address(name))


def origin_allowed(headers: Headers) -> bool:
    """Return whether a writing request comes from the page itself or from a client that is not a browser."""
    if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return False
    origin = headers.get("origin")
    return origin is None or urlsplit(origin).netloc.lower() == headers.get("host", "").lower() != ""


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

    def __init__(self, app: ASGIApp, *, hosts: tuple[str, ...], body_limit: int, upload_limit: int) -> None:
        self.app = app
        self.hosts = hosts
        self.body_limit = body_limit
        self.upload_limit = upload_limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        limit = self.upload_limit if scope["path"] in UPLOADS else self.body_limit
        if scope["path"] not in PROBES and not host_allowed(headers.get("host", ""), self.hosts):
            await _refuse(send, 421, user_messages.HOST.format(allowed=", ".join(self.hosts)))
        elif scope["method"] not in ("GET", "HEAD") and not origin_allowed(headers):
            await _refuse(send, 403, user_messages.ORIGIN)
        elif _content_length(headers) > limit:
            await _LimitedBody(receive, limit).drain()
            await _refuse(send, 413, too_large(limit))
        else:
            await self._forward(scope, receive, send, limit)

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


def too_large(limit: int) -> str:
    """Return the error message for a body over the limit, which is in bytes."""
    size = f"{limit // 1_048_576} MB" if limit >= 1_048_576 else f"{limit // 1024} kB"
    return user_messages.TOO_LARGE.format(limit=size)


def _content_length(headers: Headers) -> int:
    length = headers.get("content-length", "0")
    return int(length) if length.isdecimal() else 0


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
