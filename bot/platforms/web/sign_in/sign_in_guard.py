"""ASGI middleware that lets in only who has signed in, and puts the identity into the request's scope."""

from __future__ import annotations

import math

from starlette.datastructures import Headers
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from bot.platforms.web.sign_in import pages, user_messages
from bot.platforms.web.sign_in.identity import Identity, operator
from bot.platforms.web.sign_in.routes import PUBLIC_PATHS, is_token
from bot.platforms.web.sign_in.sign_in_setup import Access

OPEN_PATHS = ("/healthz", "/readyz", *PUBLIC_PATHS)
"""Paths for everybody. The probes tell outsiders only whether the process and its database work."""
OPEN_FOLDER = "/static/"
ADMIN_PATHS = ("/admin", "/metrics")
BEARER_PATHS = ("/metrics",)
"""Paths that scripts may read with PARLEY_WEB_TOKEN as a bearer token."""
_NO_STORE = {"Cache-Control": "no-store"}


class SignInGuard:
    """Refuses requests of people who have not signed in, except for the paths that are open to everybody."""

    def __init__(self, app: ASGIApp, *, access: Access) -> None:
        self.app = app
        self.access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path: str = scope["path"]
        found = self._identify(scope, path)
        identity = found if isinstance(found, Identity) else None
        refusal: Response | None = None
        if not (path in OPEN_PATHS or path.startswith(OPEN_FOLDER)):
            if identity is None:
                refusal = found if isinstance(found, Response) else self._not_signed_in(path)
            elif not identity.is_admin and _is_under(path, ADMIN_PATHS):
                refusal = _refuse(path, user_messages.ADMINS_ONLY, 403)
        scope["parley.identity"] = identity
        await (refusal or self.app)(scope, receive, send)

    def _identify(self, scope: Scope, path: str) -> Identity | Response | None:
        """Return who sent a request, None if nobody is signed in, or the response that refuses the person."""
        access = self.access
        if access.is_open:
            return access.anyone()
        headers = Headers(scope=scope)
        if _is_under(path, BEARER_PATHS) and "authorization" in headers:
            return self._bearer(scope, headers["authorization"])
        if access.proxy and (user := access.proxy.user(scope)):
            return access.proxy.identity(scope, user) or _refuse(path, user_messages.in_no_group(user), 403)
        return access.cookies.session(_cookies(headers)) if access.has_login_page else None

    def _bearer(self, scope: Scope, authorization: str) -> Identity | Response:
        access = self.access
        client = access.proxies.client(scope)
        if (wait := access.attempts.wait_seconds(client)) > 0:
            headers = {**_NO_STORE, "Retry-After": str(math.ceil(wait))}
            return JSONResponse({"error": user_messages.too_many_attempts(wait)}, 429, headers=headers)
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() == "bearer" and is_token(token.strip(), access.token):
            return operator("token", access.cookies.expires_at())
        access.attempts.add_failure(client)
        return JSONResponse({"error": user_messages.WRONG_TOKEN}, 401, headers=_NO_STORE)

    def _not_signed_in(self, path: str) -> Response:
        if not self.access.has_login_page:
            return _refuse(path, user_messages.PROXY_NAMES_NOBODY, 403)
        if path == "/" or _is_under(path, ("/admin",)):
            prefix = self.access.url.prefix if self.access.url else ""
            return RedirectResponse(f"{prefix}/login", 303, headers=_NO_STORE)
        return JSONResponse({"error": user_messages.NOT_SIGNED_IN}, 401, headers=_NO_STORE)


def _is_under(path: str, folders: tuple[str, ...]) -> bool:
    return any(path == folder or path.startswith(f"{folder}/") for folder in folders)


def _refuse(path: str, text: str, status: int) -> Response:
    """Return a page for browsers and JSON for the page's own requests."""
    if path.startswith("/api/"):
        return JSONResponse({"error": text}, status, headers=_NO_STORE)
    return pages.refusal_page(text, status)


def _cookies(headers: Headers) -> dict[str, str]:
    """Return the cookies of a request. A cookie that occurs twice is not believed."""
    found: dict[str, str] = {}
    twice: set[str] = set()
    for part in ";".join(headers.getlist("cookie")).split(";"):
        name, _, value = part.strip().partition("=")
        if name in found:
            twice.add(name)
        found[name] = value
    return {name: value for name, value in found.items() if name not in twice}
