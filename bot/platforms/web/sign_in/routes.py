"""Defines the routes of the sign-in: the page, the token form, OpenID Connect, and signing out."""

from __future__ import annotations

import hmac
import logging
import math
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from bot.platforms.web.sign_in import pages, user_messages
from bot.platforms.web.sign_in.identity import Identity, operator
from bot.platforms.web.sign_in.openid_connect import SignInError
from bot.platforms.web.sign_in.sign_in_setup import Access

log = logging.getLogger(__name__)

PUBLIC_PATHS = ("/login", "/oidc-login", "/oidc-callback")
"""Paths that need no session."""


class SignInRoutes:
    """The request handlers of the sign-in."""

    def __init__(self, access: Access) -> None:
        self.access = access

    def routes(self) -> list[Route]:
        """Return the routes; none if people do not sign in here."""
        if not self.access.has_login_page:
            return []
        routes = [Route("/login", self.page), Route("/logout", self.sign_out, methods=["POST"])]
        if self.access.token:
            routes.append(Route("/login", self.sign_in, methods=["POST"]))
        if self.access.oidc:
            routes += [Route("/oidc-login", self.oidc_login), Route("/oidc-callback", self.oidc_callback)]
        return routes

    async def page(self, request: Request) -> Response:
        """Show the sign-in page."""
        if self.access.cookies.session(request.cookies):
            return self._to_page()
        return self._sign_in_page(note=user_messages.SIGNED_OUT if "signed-out" in request.query_params else "")

    async def sign_in(self, request: Request) -> Response:
        """Check a token and start a session."""
        access = self.access
        client = access.proxies.client(request.scope)
        if (wait := access.attempts.wait_seconds(client)) > 0:
            text = user_messages.too_many_attempts(wait)
            return self._sign_in_page(error=text, status=429, retry_after=math.ceil(wait))
        token = _form_value(await request.body(), "token")
        if not token:
            return self._sign_in_page(error=user_messages.NO_TOKEN, status=400)
        if not is_token(token, access.token):
            access.attempts.add_failure(client)
            log.warning("wrong access token from %s", client)
            return self._sign_in_page(error=user_messages.WRONG_TOKEN, status=403)
        return self._start_session(operator("token", access.cookies.expires_at()))

    async def sign_out(self, request: Request) -> Response:
        """End the session in this browser."""
        response = RedirectResponse(f"{self._prefix}/login?signed-out", 303, headers=_NO_STORE)
        self.access.cookies.end_session(response)
        return response

    async def oidc_login(self, request: Request) -> Response:
        """Send the browser to the provider."""
        assert self.access.oidc
        try:
            url, state, kept = await self.access.oidc.start()
        except SignInError as error:
            return pages.error_page(str(error), error.status)
        response = RedirectResponse(url, 303, headers=_NO_STORE)
        self.access.cookies.start_flow(response, state, kept)
        return response

    async def oidc_callback(self, request: Request) -> Response:
        """Start a session for a person whom the provider has sent back."""
        assert self.access.oidc
        state = request.query_params.get("state", "")
        kept = self.access.cookies.flow(request.cookies, state)
        try:
            identity = await self.access.oidc.finish(request, kept)
        except SignInError as error:
            response: Response = pages.error_page(str(error), error.status)
        else:
            log.info("%s signed in as %s", identity.id, "admin" if identity.is_admin else "member")
            response = self._start_session(identity)
        if kept:
            self.access.cookies.end_flow(response, state)
        return response

    def _start_session(self, identity: Identity) -> Response:
        response = self._to_page()
        self.access.cookies.start_session(response, identity)
        return response

    @property
    def _prefix(self) -> str:
        return self.access.url.prefix if self.access.url else ""

    def _to_page(self) -> Response:
        return RedirectResponse(f"{self._prefix}/", 303, headers=_NO_STORE)

    def _sign_in_page(self, *, error: str = "", note: str = "", status: int = 200, retry_after: int = 0) -> Response:
        return pages.sign_in_page(
            token=bool(self.access.token),
            oidc=bool(self.access.oidc),
            error=error,
            note=note,
            status=status,
            retry_after=retry_after,
        )


_NO_STORE = {"Cache-Control": "no-store"}


def is_token(given: str, expected: str | None) -> bool:
    """Return whether a token is the expected one, in constant time. Nothing matches if none is configured."""
    return expected is not None and hmac.compare_digest(given.encode(), expected.encode())


def _form_value(body: bytes, name: str) -> str:
    """Return a field of a submitted form; empty if it is missing or not readable."""
    try:
        return parse_qs(body.decode(), max_num_fields=10).get(name, [""])[0].strip()
    except ValueError:
        return ""
