"""Secrets as they lie in the database: encrypted, and bound to the one whose they are.

Fernet (AES-128-CBC with HMAC-SHA256) under the first of several keys; the others open what they closed before, so that
a key is changed by putting a new one in front.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from bot.errors import ConfigError

OWNER = "owner"


class Seal:
    """Closes and opens small sets of secrets."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._first = Fernet(keys[0])
        self._all = MultiFernet([Fernet(key) for key in keys])

    def close(self, owner: str, secrets: Mapping[str, str]) -> str:
        """The secrets of ``owner``, encrypted under the first key."""
        return self._all.encrypt(json.dumps({**secrets, OWNER: owner}).encode()).decode()

    def open(self, owner: str, sealed: str) -> dict[str, str]:
        """What was closed for that owner. Raises ConfigError where no key fits, or it was another's."""
        try:
            found: dict[str, str] = json.loads(self._all.decrypt(sealed))
        except InvalidToken:
            raise ConfigError(
                f"The tokens of {owner} were encrypted under a key that is not in PARLEY_TOKEN_KEYS; put it back, "
                "or have the app installed again."
            ) from None
        if found.pop(OWNER, None) != owner:
            raise ConfigError(f"The tokens of {owner} are somebody else's; have the app installed again.")
        return found

    def is_current(self, sealed: str) -> bool:
        """Whether it lies under the first key."""
        try:
            self._first.decrypt(sealed)
        except InvalidToken:
            return False
        return True
