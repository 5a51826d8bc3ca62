"""Signs people in with OpenID Connect: authorization code with PKCE, state and nonce, and checks of the ID token."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx2
from authlib.integrations.base_client import MismatchingStateError, OAuthError
from authlib.integrations.starlette_client import OAuth, StarletteOAuth2App
from joserfc.errors import JoseError
from starlette.requests import Request

from bot.errors import for_operator
from bot.platforms.web.sign_in import user_messages
from bot.platforms.web.sign_in.identity import Identity, RoleMap, clean_name

log = logging.getLogger(__name__)

CLOCK_SKEW_SECONDS = 60
HTTP_TIMEOUT_SECONDS = 10.0
MAX_SUBJECT_CHARS = 255
"""The longest ``sub`` that OpenID Connect allows."""
SIGNING_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Algorithms with a public key. ``none`` and those with a shared secret are refused even if the provider lists them."""


class SignInError(Exception):
    """Nobody was signed in. The text says why, for the person. ``status`` is the HTTP status."""

    def __init__(self, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True, slots=True)
class Provider:
    """How to reach an OpenID Connect provider, and who may sign in.

    ``redirect_uri`` is the callback's public URL. ``expires_at`` returns when a session that starts now ends.
    """

    issuer: str
    client_id: str
    client_secret: str
    scopes: str
    groups_claim: str
    redirect_uri: str
    roles: RoleMap
    expires_at: Callable[[], float]


class OpenIdConnect:
    """The client of one provider. Reads the provider's metadata and keys when they are first needed."""

    def __init__(self, provider: Provider) -> None:
        # Authlib logs the PKCE verifier at the level DEBUG.
        logging.getLogger("authlib").setLevel(logging.INFO)
        self._provider = provider
        self._loading = asyncio.Lock()
        self._client: StarletteOAuth2App = OAuth().register(
            "parley",
            client_id=provider.client_id,
            client_secret=provider.client_secret,
            server_metadata_url=f"{provider.issuer.rstrip('/')}/.well-known/openid-configuration",
            client_kwargs={
                "scope": provider.scopes,
                "code_challenge_method": "S256",
                "timeout": HTTP_TIMEOUT_SECONDS,
            },
        )

    async def start(self) -> tuple[str, str, dict[str, Any]]:
        """Return the provider's URL for a new sign-in, its state, and the data to keep in the browser until it ends.

        Raises SignInError if the provider cannot be reached.
        """
        await self.load_metadata()
        made = await self._client.create_authorization_url(self._provider.redirect_uri)
        kept = {"nonce": made["nonce"], "code_verifier": made["code_verifier"]}
        return made["url"], made["state"], kept

    async def finish(self, request: Request, kept: Mapping[str, Any]) -> Identity:
        """Return who has signed in. ``kept`` is the data of ``start`` for this state, empty if the browser has none.

        Raises SignInError.
        """
        if "error" in request.query_params:
            log.info("sign-in ended at the provider: %r", request.query_params["error"][:200])
            raise SignInError(user_messages.NOT_ALLOWED_BY_PROVIDER, 403)
        if not kept:
            raise SignInError(user_messages.SIGN_IN_NOT_STARTED_HERE)
        await self.load_metadata()
        claims = await self._claims(request, kept)
        return self._identity(claims)

    async def load_metadata(self) -> Mapping[str, Any]:
        """Return the provider's metadata, which is read once. Raises SignInError."""
        async with self._loading:
            metadata: dict[str, Any] = {}
            try:
                metadata = await self._client.load_server_metadata()
            except (httpx2.HTTPError, ValueError) as error:
                log.error("cannot read the metadata of %s: %s", self._provider.issuer, for_operator(error))
                raise SignInError(user_messages.PROVIDER_NOT_REACHABLE, 503) from None
            issuer = str(metadata.get("issuer", ""))
            if issuer.rstrip("/") != self._provider.issuer.rstrip("/"):
                self._client.server_metadata = {}
                log.error("the provider names the issuer %r; set PARLEY_OIDC_ISSUER to it", issuer[:200])
                raise SignInError(user_messages.PROVIDER_MISCONFIGURED, 503)
            listed = metadata.get("id_token_signing_alg_values_supported") or ["RS256"]
            metadata["id_token_signing_alg_values_supported"] = [alg for alg in listed if alg in SIGNING_ALGORITHMS]
            methods = metadata.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
            if "client_secret_basic" not in methods and "client_secret_post" in methods:
                self._client.client_kwargs["token_endpoint_auth_method"] = "client_secret_post"  # noqa: S105
            return metadata

    async def _claims(self, request: Request, kept: Mapping[str, Any]) -> dict[str, Any]:
        """Exchange the code for tokens, check the ID token, and return its claims. Raises SignInError."""
        provider = self._provider
        try:
            token = await self._client.fetch_access_token(
                redirect_uri=provider.redirect_uri,
                code=request.query_params.get("code", ""),
                code_verifier=kept["code_verifier"],
            )
            if "id_token" not in token:
                raise SignInError(user_messages.PROVIDER_NAMES_NOBODY, 502)
            claims = await self._client.parse_id_token(
                token,
                nonce=kept["nonce"],
                claims_options={
                    "iss": {"essential": True, "value": self._client.server_metadata["issuer"]},
                    "aud": {"essential": True, "value": provider.client_id},
                    "nonce": {"essential": True, "value": kept["nonce"]},
                },
                leeway=CLOCK_SKEW_SECONDS,
            )
            return await self._with_userinfo(dict(claims), token)
        except httpx2.HTTPError as error:
            log.error("cannot reach %s: %s", provider.issuer, for_operator(error))
            raise SignInError(user_messages.PROVIDER_NOT_REACHABLE, 503) from None
        except (OAuthError, MismatchingStateError) as error:
            log.warning("the provider refused the code: %s", error.error)
            raise SignInError(user_messages.CODE_REFUSED) from None
        except (JoseError, ValueError, KeyError, TypeError) as error:
            log.warning("the ID token is not valid: %s: %s", type(error).__name__, error)
            raise SignInError(user_messages.CONFIRMATION_NOT_VALID) from None

    async def _with_userinfo(self, claims: dict[str, Any], token: Mapping[str, Any]) -> dict[str, Any]:
        """Add the claims of the userinfo endpoint if the ID token lacks the groups or the name, as it may."""
        metadata = self._client.server_metadata
        is_complete = read_claim(claims, self._provider.groups_claim) is not None and _name(claims)
        if is_complete or "userinfo_endpoint" not in metadata:
            return claims
        more = dict(await self._client.userinfo(token=token))
        # Another subject's claims would be a substitution attack (OpenID Connect Core, 5.3.2).
        return {**more, **claims} if more.get("sub") == claims["sub"] else claims

    def _identity(self, claims: Mapping[str, Any]) -> Identity:
        provider = self._provider
        subject = claims["sub"]
        if not isinstance(subject, str) or not 0 < len(subject) <= MAX_SUBJECT_CHARS:
            raise SignInError(user_messages.CONFIRMATION_NOT_VALID)
        name = clean_name(_name(claims)) or clean_name(subject)
        user_id = f"oidc:{subject}"
        role = provider.roles.role(user_id, group_names(read_claim(claims, provider.groups_claim)))
        if role is None:
            log.warning("%s signed in at the provider, but is in no group that may use Parley", user_id)
            raise SignInError(user_messages.in_no_group(name), 403)
        return Identity(user_id, name, role == "admin", "oidc", provider.expires_at())


def _name(claims: Mapping[str, Any]) -> str:
    """Return the name of a person; empty if no claim has one."""
    values = (claims.get(key) for key in ("name", "preferred_username", "email"))
    return next((value for value in values if isinstance(value, str) and value), "")


def read_claim(claims: Mapping[str, Any], name: str) -> Any:
    """Return a claim by name, or by its path such as ``realm_access.roles``; None if it is missing."""
    if name in claims:
        return claims[name]
    value: Any = claims
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def group_names(value: object) -> tuple[str, ...]:
    """Return the groups of a claim, which is a list of names or one name. Other values are no group."""
    if isinstance(value, str):
        return (value,)
    if isinstance(value, list):
        return tuple(group for group in value if isinstance(group, str))
    return ()
