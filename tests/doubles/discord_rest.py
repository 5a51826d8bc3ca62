"""The REST API v10 of the Discord double: authentication, rate limits and requested failures around the routes."""

from __future__ import annotations

import json
import re
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aiohttp import web

from tests.doubles.discord_models import Attachment, Json, Message
from tests.doubles.discord_routes import ROUTES, Call, Route
from tests.doubles.discord_rules import ApiError

if TYPE_CHECKING:
    from tests.doubles.discord import DiscordDouble


@dataclass
class Bucket:
    """A rate limit of ``limit`` requests in a window of ``per`` seconds that starts with the first request."""

    limit: int
    per: float
    began: float = 0.0
    used: int = 0

    def take(self, now: float) -> float:
        """Count a request; return 0, or the seconds to wait if it exceeds the limit."""
        if now - self.began >= self.per:
            self.began, self.used = now, 0
        if self.used >= self.limit:
            return self.per - (now - self.began)
        self.used += 1
        return 0.0

    def headers(self, name: str, now: float) -> dict[str, str]:
        left = max(0.0, self.per - (now - self.began))
        return {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(self.limit - self.used),
            "X-RateLimit-Reset": f"{time.time() + left:.3f}",
            "X-RateLimit-Reset-After": f"{left:.3f}",
            "X-RateLimit-Bucket": name,
        }


DROPPED = 0


@dataclass
class Fault:
    """A failure requested by a test. The status ``DROPPED`` drops the connection without an answer."""

    method: str
    pattern: str
    status: int
    code: int
    times: int
    retry_after: float = 0.0


@dataclass
class Rest:
    """Serves all requests and records them."""

    double: DiscordDouble
    limits: dict[str, tuple[int, float]]
    max_invalid: int
    """Number of requests refused by 401, 403 or 429 within ten minutes that is a violation."""
    buckets: dict[str, Bucket] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    calls: list[tuple[str, str]] = field(default_factory=list)
    refusals: list[tuple[str, str, int]] = field(default_factory=list)
    nonces: dict[str, Message] = field(default_factory=dict)
    """The bot's messages by nonce. Discord compares a nonce with all messages of its author, in every channel."""

    def __post_init__(self) -> None:
        self._global_bucket = Bucket(*self.limits["global"])
        """Limits all requests except those with an interaction's own token."""
        self._invalid_times: deque[float] = deque()

    async def handle(self, request: web.Request) -> web.Response:
        """Handle one request: check the token, the rate limits and requested failures, then call the route."""
        path = "/" + request.match_info["path"]
        self.calls.append((request.method, path))
        try:
            template, route, args = _find(request.method, path)
        except ApiError as refusal:
            self.double.violations.append(f"no such route: {request.method} {path}")
            return self._refuse(request.method, path, refusal, {})
        name = f"{request.method} {template}"
        public = "token" in args or path == "/gateway"
        if not public and request.headers.get("Authorization") != f"Bot {self.double.token}":
            return self._refuse(request.method, path, ApiError(401, 0, "401: Unauthorized"), {})
        if not public and (wait := self._global_bucket.take(time.monotonic())) > 0:
            return self._rate_limited(request.method, path, wait, {}, is_global=True)
        bucket = self._bucket(name, args)
        wait, now = bucket.take(time.monotonic()), time.monotonic()
        headers = bucket.headers(re.sub(r"\W+", "-", name), now)
        if wait > 0:
            return self._rate_limited(request.method, path, wait, headers)
        fault = self._fault(request.method, path)
        if fault is not None:
            if fault.status == DROPPED and request.transport is not None:
                request.transport.abort()
            if fault.status == 429:
                return self._rate_limited(request.method, path, fault.retry_after, headers)
            return self._refuse(
                request.method, path, ApiError(fault.status, fault.code, "requested by the test"), headers
            )
        body, files = await self._read(request)
        try:
            status, data = await route(Call(self.double, request.method, path, args, dict(request.query), body, files))
        except ApiError as refusal:
            return self._refuse(request.method, path, refusal, headers)
        self.double.changed()
        return _response(status, data, headers)

    def _bucket(self, name: str, args: dict[str, str]) -> Bucket:
        major = args.get("channel_id") or args.get("token") or ""
        limit, per = self.limits.get(name, self.limits["*"])
        return self.buckets.setdefault(f"{name}:{major}", Bucket(limit, per))

    def _fault(self, method: str, path: str) -> Fault | None:
        for fault in self.faults:
            if fault.times > 0 and fault.method == method and re.search(fault.pattern, path):
                fault.times -= 1
                return fault
        return None

    def _rate_limited(
        self, method: str, path: str, wait: float, headers: dict[str, str], *, is_global: bool = False
    ) -> web.Response:
        self._record_refusal(method, path, 429)
        body = {"message": "You are being rate limited.", "retry_after": round(wait, 3), "global": is_global}
        scope = {"X-RateLimit-Global": "true", "X-RateLimit-Scope": "global"} if is_global else {}
        return _response(429, body, headers | scope | {"Via": "1.1 double", "Retry-After": f"{wait:.3f}"})

    def _record_refusal(self, method: str, path: str, status: int) -> None:
        self.refusals.append((method, path, status))
        if status not in (401, 403, 429):
            return
        now = time.monotonic()
        self._invalid_times.append(now)
        while self._invalid_times[0] <= now - 600.0:
            self._invalid_times.popleft()
        if len(self._invalid_times) == self.max_invalid:
            self.double.violations.append(
                f"{self.max_invalid} invalid requests within ten minutes: Discord bans the IP address"
            )

    def _refuse(self, method: str, path: str, refusal: ApiError, headers: dict[str, str]) -> web.Response:
        self._record_refusal(method, path, refusal.status)
        return _response(refusal.status, refusal.body, headers)

    async def _read(self, request: web.Request) -> tuple[Json | list[Json], list[Attachment]]:
        if request.content_type == "multipart/form-data":
            form = await request.post()
            files = [
                self.double.world.add_file(part.filename, part.content_type, part.file.read())
                for part in form.values()
                if isinstance(part, web.FileField)
            ]
            return json.loads(str(form["payload_json"])), files
        raw = await request.read()
        return (json.loads(raw) if raw else {}), []


def _response(status: int, data: object, headers: dict[str, str]) -> web.Response:
    if data is None:
        return web.Response(status=status, headers=headers)
    # discord.py parses JSON only with exactly this content type.
    return web.Response(
        status=status, body=json.dumps(data).encode(), headers=headers | {"Content-Type": "application/json"}
    )


def _find(method: str, path: str) -> tuple[str, Route, dict[str, str]]:
    for route_method, template, route in ROUTES:
        pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", template)
        found = re.fullmatch(pattern, path)
        if found and route_method == method:
            return template, route, found.groupdict()
    raise ApiError(404, 0, "404: Not Found")
