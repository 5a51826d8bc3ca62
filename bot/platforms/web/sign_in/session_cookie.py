"""Signs and reads the session cookie, and the short-lived cookies of sign-ins with OpenID Connect.

The cookies carry their content, so that sessions survive a restart and work in every web process. The key is derived
from the configured secrets: changing PARLEY_WEB_TOKEN or PARLEY_OIDC_CLIENT_SECRET signs everyone out.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from itsdangerous import BadData, URLSafeSerializer
from starlette.responses import Response

from bot.platforms.web.public_url import PublicUrl
from bot.platforms.web.sign_in.identity import Identity

FLOW_SECONDS = 600
"""Seconds that a sign-in with OpenID Connect may take."""
_VERSION = 1


def derive_key(secrets: Mapping[str, str]) -> bytes:
    """Return the signing key for these named secrets."""
    digest = hashlib.sha256()
    for name, value in sorted(secrets.items()):
        for part in (name.encode(), value.encode()):
            digest.update(len(part).to_bytes(8, "big") + part)
    return hmac.digest(digest.digest(), b"parley web session", "sha256")


@dataclass(frozen=True, slots=True)
class Cookies:
    """Writes and reads the cookies of one public address. ``clock`` returns Unix seconds."""

    key: bytes
    url: PublicUrl | None
    session_seconds: float
    clock: Callable[[], float]

    @property
    def _name_prefix(self) -> str:
        """The name prefix that makes browsers enforce the attributes: no other host or path can set the cookie."""
        if self.url is None or not self.url.secure:
            return ""
        return "__Secure-" if self.url.prefix else "__Host-"

    @property
    def session_name(self) -> str:
        """The name of the session cookie."""
        return f"{self._name_prefix}parley_session"

    def expires_at(self) -> float:
        """Return when a session that starts now ends."""
        return self.clock() + self.session_seconds

    def start_session(self, response: Response, identity: Identity) -> None:
        """Set the session cookie."""
        payload = {
            "v": _VERSION,
            "id": identity.id,
            "name": identity.name,
            "admin": identity.is_admin,
            "method": identity.method,
            "exp": identity.expires_at,
        }
        value = self._serializer("session").dumps(payload)
        self._set(response, self.session_name, str(value), int(identity.expires_at - self.clock()))

    def session(self, cookies: Mapping[str, str]) -> Identity | None:
        """Return who is signed in; None if the cookie is missing, expired, or not signed with the key."""
        payload = self._load("session", cookies.get(self.session_name, ""))
        if payload is None or payload.get("v") != _VERSION:
            return None
        return Identity(payload["id"], payload["name"], payload["admin"], payload["method"], payload["exp"])

    def end_session(self, response: Response) -> None:
        """Delete the session cookie."""
        self._set(response, self.session_name, "", 0)

    def start_flow(self, response: Response, state: str, data: Mapping[str, Any]) -> None:
        """Keep the data of a sign-in that has started, under its state, so that two tabs can sign in at once."""
        payload = {"data": dict(data), "exp": self.clock() + FLOW_SECONDS}
        self._set(response, self._flow_name(state), str(self._serializer("flow").dumps(payload)), FLOW_SECONDS)

    def flow(self, cookies: Mapping[str, str], state: str) -> dict[str, Any]:
        """Return the data of a sign-in that has started; empty if this browser has not started it."""
        payload = self._load("flow", cookies.get(self._flow_name(state), ""))
        return dict(payload["data"]) if payload else {}

    def end_flow(self, response: Response, state: str) -> None:
        """Delete the data of a sign-in."""
        self._set(response, self._flow_name(state), "", 0)

    def _flow_name(self, state: str) -> str:
        return f"{self._name_prefix}parley_flow_{hashlib.sha256(state.encode()).hexdigest()[:16]}"

    def _serializer(self, purpose: str) -> URLSafeSerializer:
        signer = {"digest_method": hashlib.sha256, "key_derivation": "hmac"}
        return URLSafeSerializer(self.key, salt=f"parley.{purpose}", signer_kwargs=signer)

    def _load(self, purpose: str, value: str) -> dict[str, Any] | None:
        if not value:
            return None
        try:
            payload = self._serializer(purpose).loads(value)
        except BadData:
            return None
        return payload if isinstance(payload, dict) and payload["exp"] > self.clock() else None

    def _set(self, response: Response, name: str, value: str, max_age: int) -> None:
        response.set_cookie(
            name,
            value,
            max_age=max_age,
            path=(self.url.prefix if self.url else "") or "/",
            secure=self.url is not None and self.url.secure,
            httponly=True,
            samesite="lax",
        )
