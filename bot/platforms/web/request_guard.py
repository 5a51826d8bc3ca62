"""What stands before every request: the right host and origin, a bounded body, headers that allow nothing else.

The host is checked against DNS rebinding, where a foreign name is made to point at 127.0.0.1; the origin against
other sites that post to localhost.
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

POLICY = "; ".join(
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
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def allowed_hosts(bound: str) -> tuple[str, ...]:
    """The names under which the page may be asked for. An address of all interfaces allows every numeric address."""
    return tuple(dict.fromkeys((bound.strip("[]").lower(), *LOOPBACK)))


def host_allowed(header: str, allowed: tuple[str, ...]) -> bool:
    """Whether a Host header names this server. A number cannot be rebound, so any will do on all interfaces."""
    try:
        name = (urlsplit(f"//{header}").hostname or "").lower()
    except ValueError:
        return False
    return name in allowed or (_everywhere(allowed[0]) and _numeric(name))


def origin_allowed(headers: Headers) -> bool:
    """Whether a writing request comes from the page itself, or from no browser at all."""
    if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return False
    origin = headers.get("origin")
    return origin is None or urlsplit(origin).netloc.lower() == headers.get("host", "").lower() != ""


def _everywhere(name: str) -> bool:
    return name in ("0.0.0.0", "::")  # noqa: S104


def _numeric(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


class TooLargeError(Exception):
    """The body is longer than allowed."""


class Guard:
    """ASGI middleware. ``body_limit`` in bytes holds for everything but uploads, which have ``upload_limit``."""

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
        limit = self.upload_limit if scope["path"] in ("/api/upload", "/api/attach") else self.body_limit
        if scope["path"] not in PROBES and not host_allowed(headers.get("host", ""), self.hosts):
            await _refuse(send, 421, user_messages.HOST.format(allowed=", ".join(self.hosts)))
        elif scope["method"] not in ("GET", "HEAD") and not origin_allowed(headers):
            await _refuse(send, 403, user_messages.ORIGIN)
        elif _declared(headers) > limit:
            await _Body(receive, limit).drain()
            await _refuse(send, 413, too_large(limit))
        else:
            await self._pass(scope, receive, send, limit)

    async def _pass(self, scope: Scope, receive: Receive, send: Send, limit: int) -> None:
        started = False
        body = _Body(receive, limit)

        async def guarded(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        try:
            await self.app(scope, body.receive, guarded)
        except TooLargeError:
            if started:
                raise
            await body.drain()
            await _refuse(send, 413, too_large(limit))


def too_large(limit: int) -> str:
    """The sentence for a body over the limit."""
    size = f"{limit // 1_048_576} MB" if limit >= 1_048_576 else f"{limit // 1024} kB"
    return user_messages.TOO_LARGE.format(limit=size)


def _declared(headers: Headers) -> int:
    length = headers.get("content-length", "0")
    return int(length) if length.isdecimal() else 0


class _Body:
    """A request's body that may not grow past ``limit``."""

    def __init__(self, receive: Receive, limit: int) -> None:
        self._receive = receive
        self._limit = limit
        self._seen = 0
        self._ended = False

    async def receive(self) -> Message:
        """The next piece. Raises TooLargeError."""
        message = await self._receive()
        self._seen += len(message.get("body", b""))
        self._ended = message["type"] != "http.request" or not message.get("more_body", False)
        if self._seen > self._limit:
            raise TooLargeError
        return message

    async def drain(self) -> None:
        """Read on and forget, within reason: a browser that is cut off while it sends shows no answer at all."""
        self._limit *= 3
        with contextlib.suppress(TooLargeError):
            while not self._ended:
                await self.receive()


async def _refuse(send: Send, status: int, sentence: str) -> None:
    body = json.dumps({"error": sentence}).encode()
    headers = {**HEADERS, "Content-Type": "application/json", "Content-Length": str(len(body))}
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})
