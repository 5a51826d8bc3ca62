"""Recognizes the addresses of sign-in pages: by their path, or by the parameters of the sign-in protocols."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, urlsplit

_PATH = re.compile(
    r"/(?:log[-_]?in|sign[-_]?in|sign_on|signon|sso|saml2?|oauth2?|openid|authenticate|auth|session/new|sessions/new|"
    r"wp-login|authorize)(?:[./]|$)",
    re.IGNORECASE,
)
_PROTOCOLS = (
    frozenset(("client_id", "response_type")),
    frozenset(("client_id", "redirect_uri")),
    frozenset(("samlrequest",)),
    frozenset(("wa", "wtrealm")),
    frozenset(("openid.mode",)),
)
"""Parameters that a request of OAuth 2.0, OpenID Connect, SAML 2.0, WS-Federation or OpenID has."""
FORM_FIELDS = frozenset(("samlrequest", "samlresponse", "wresult", "id_token"))
"""Fields of the forms that these protocols send through a browser."""


def is_sign_in(url: str) -> bool:
    """Return whether the URL is that of a sign-in page."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    given = {name.lower() for name in parse_qs(parts.query, keep_blank_values=True)}
    return _PATH.search(parts.path) is not None or any(needed <= given for needed in _PROTOCOLS)


def leads_back(url: str) -> bool:
    """Return whether the URL is that of a sign-in page that is told where its user comes from."""
    if not is_sign_in(url):
        return False
    values = (value for found in parse_qs(urlsplit(url).query).values() for value in found)
    return any(value.startswith(("/", "http://", "https://")) for value in values)
