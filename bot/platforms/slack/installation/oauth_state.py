"""Signs and checks the ``state`` of an OAuth installation, so that starting one stores nothing.

A state holds a random number and the time at which it expires. Only its return from Slack is stored, as a digest, which
makes it valid once.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from datetime import datetime, timedelta

LIFETIME = timedelta(minutes=10)
_NONCE_BYTES = 18


def create(key: str, now: datetime) -> str:
    """Return a new state, signed with a key derived from ``key``."""
    expires_at = int((now + LIFETIME).timestamp())
    content = f"{secrets.token_urlsafe(_NONCE_BYTES)}.{expires_at}"
    return f"{content}.{_signature(key, content)}"


def expires_at(key: str, state: str) -> float | None:
    """Return the Unix time at which the state expires; None if its signature is wrong."""
    content, _, signature = state.rpartition(".")
    if not hmac.compare_digest(_signature(key, content).encode(), signature.encode()):
        return None
    return float(content.rpartition(".")[2])


def digest(state: str) -> str:
    """Return the digest under which a used state is stored.

    It differs from the plain digest under which the previous version stores a state that it issued.
    """
    return hashlib.sha256(b"used " + state.encode()).hexdigest()


def _signature(key: str, content: str) -> str:
    derived = hashlib.sha256(b"parley slack oauth state\0" + key.encode()).digest()
    signed = hmac.new(derived, content.encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(signed).rstrip(b"=").decode()
