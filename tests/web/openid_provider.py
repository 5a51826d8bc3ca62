"""Runs an OpenID Connect provider on loopback: the library pyop behind real endpoints, with people and their groups.

``tamper`` changes the claims of ID tokens before they are signed, and ``signed_by`` their key, to test what a client
must refuse.
"""

from __future__ import annotations

import html
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from Cryptodome.PublicKey import RSA
from jwkest.jwk import RSAKey
from oic.oic.message import IdToken
from pyop.authz_state import AuthorizationState
from pyop.exceptions import InvalidAuthenticationRequest, InvalidClientAuthentication, OAuthError
from pyop.provider import Provider
from pyop.subject_identifier import HashBasedSubjectIdentifierFactory
from pyop.userinfo import Userinfo

CLIENT_ID, CLIENT_SECRET = "parley", "a-client-secret-for-tests"
Claims = dict[str, Any]

PEOPLE: dict[str, Claims] = {
    "ann": {"sub": "sub-ann", "name": "Ann Example", "groups": ["staff", "parley-admins"]},
    "ben": {"sub": "sub-ben", "name": "Ben <b>Example</b>", "groups": ["staff"]},
    "cat": {"sub": "sub-cat", "name": "Cat Example", "groups": ["visitors"]},
    "dan": {"sub": "you", "name": "Dan Example", "groups": "staff"},
}


def new_key(key_id: str) -> RSAKey:
    """Return a signing key."""
    return RSAKey(key=RSA.generate(2048), kid=key_id, use="sig", alg="RS256")


class TamperingProvider(Provider):  # type: ignore[misc]
    """A provider whose ID tokens a test can change."""

    tamper: Callable[[Claims], Claims] = staticmethod(lambda claims: claims)
    signed_by: RSAKey | None = None
    algorithm = "RS256"

    def _create_signed_id_token(self, client_id: str, sub: str, *args: Any, **kwargs: Any) -> str:
        token = super()._create_signed_id_token(client_id, sub, *args, **kwargs)
        message: Any = IdToken
        claims = {**message().from_jwt(token, key=[self.signing_key]).to_dict(), "aud": client_id}
        return str(message(**self.tamper(claims)).to_jwt([self.signed_by or self.signing_key], self.algorithm))


@dataclass
class OpenIdProvider:
    """The running provider. ``in_id_token`` are claims that ID tokens carry; the others are in the userinfo."""

    issuer: str = ""
    in_id_token: tuple[str, ...] = ()
    lists_algorithms: list[str] = field(default_factory=lambda: ["RS256"])
    redirect_uris: list[str] = field(default_factory=list)
    token_requests: list[str] = field(default_factory=list)
    is_down: bool = False
    userinfo_sub: str = ""
    provider: Any = None

    def start(self, issuer: str) -> None:
        """Set up the library for this address."""
        self.issuer = issuer
        configuration = {
            "issuer": issuer.replace("http://", "https://"),
            "authorization_endpoint": f"{issuer}/authorize",
            "token_endpoint": f"{issuer}/token",
            "userinfo_endpoint": f"{issuer}/userinfo",
            "jwks_uri": f"{issuer}/jwks",
            "scopes_supported": ["openid", "profile", "email"],
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": self.lists_algorithms,
        }
        client = {
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
            "redirect_uris": self.redirect_uris,
            "response_types": ["code"],
            "token_endpoint_auth_method": "client_secret_basic",
        }
        self.provider = TamperingProvider(
            new_key("key-1"),
            configuration,
            AuthorizationState(HashBasedSubjectIdentifierFactory("salt")),
            {CLIENT_ID: client},
            Userinfo(PEOPLE),
            extra_scopes={"profile": ["name", "groups"]},
        )
        # The library insists on TLS when it is set up.
        self.provider.configuration_information["issuer"] = issuer

    def routes(self) -> list[web.RouteDef]:
        """Return the endpoints."""
        return [
            web.get("/.well-known/openid-configuration", self._configuration),
            web.get("/jwks", self._jwks),
            web.get("/authorize", self._authorize),
            web.post("/token", self._token),
            web.get("/userinfo", self._userinfo),
        ]

    async def _configuration(self, request: web.Request) -> web.Response:
        if self.is_down:
            raise web.HTTPServiceUnavailable
        return web.json_response(self.provider.provider_configuration.to_dict())

    async def _jwks(self, request: web.Request) -> web.Response:
        return web.json_response(self.provider.jwks)

    async def _authorize(self, request: web.Request) -> web.Response:
        """Ask who signs in; with ``as`` in the query, sign this person in and go back to the client."""
        query = request.rel_url.query.copy()
        person = query.pop("as", "")
        try:
            asked = self.provider.parse_authentication_request(str(request.rel_url.with_query(query).query_string))
        except InvalidAuthenticationRequest as error:
            raise web.HTTPBadRequest(text=str(error)) from None
        if not person:
            url = html.escape(str(request.rel_url))
            links = "".join(f'<p><a id="{name}" href="{url}&amp;as={name}">{name}</a></p>' for name in PEOPLE)
            return web.Response(text=f"<h1>Who are you?</h1>{links}", content_type="text/html")
        if person == "nobody":
            raise web.HTTPFound(f"{asked['redirect_uri']}?error=access_denied&state={asked['state']}")
        answer = self.provider.authorize(asked, person)
        raise web.HTTPFound(answer.request(asked["redirect_uri"]))

    async def _token(self, request: web.Request) -> web.Response:
        body = await request.text()
        self.token_requests.append(body)

        def extra(user: str, client: str) -> Claims:
            return {name: PEOPLE[user][name] for name in self.in_id_token}

        try:
            answer = self.provider.handle_token_request(body, request.headers, extra_id_token_claims=extra)
        except InvalidClientAuthentication as error:
            return web.json_response({"error": "invalid_client", "error_description": str(error)}, status=401)
        except OAuthError as error:
            return web.json_response({"error": error.oauth_error, "error_description": str(error)}, status=400)
        return web.json_response(answer.to_dict())

    async def _userinfo(self, request: web.Request) -> web.Response:
        claims = self.provider.handle_userinfo_request(request.query_string, request.headers).to_dict()
        return web.json_response({**claims, "sub": self.userinfo_sub or claims["sub"]})


@asynccontextmanager
async def providing(redirect_uri: str, **values: Any) -> AsyncIterator[OpenIdProvider]:
    """Run a provider that sends people back to ``redirect_uri``."""
    running = OpenIdProvider(redirect_uris=[redirect_uri], **values)
    app = web.Application()
    app.add_routes(running.routes())
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    running.start(f"http://127.0.0.1:{port}")
    try:
        yield running
    finally:
        await runner.cleanup()
