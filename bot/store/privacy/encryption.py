"""Encrypts secrets for storage in the database, bound to their owner.

Fernet (AES-128-CBC with HMAC-SHA256) under the first of several keys. The other keys only decrypt older secrets. To
rotate the key, put a new one first.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from bot.errors import ConfigError

OWNER = "owner"


class Seal:
    """Encrypts and decrypts small sets of secrets."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._first = Fernet(keys[0])
        self._all = MultiFernet([Fernet(key) for key in keys])

    def close(self, owner: str, secrets: Mapping[str, str]) -> str:
        """Return the secrets of ``owner``, encrypted under the first key."""
        return self._all.encrypt(json.dumps({**secrets, OWNER: owner}).encode()).decode()

    def open(self, owner: str, sealed: str) -> dict[str, str]:
        """Decrypt the secrets of ``owner``. Raises ConfigError if no key fits, or if they belong to another owner."""
        try:
            found: dict[str, str] = json.loads(self._all.decrypt(sealed))
        except InvalidToken:
            raise ConfigError(
                f"The tokens of {owner} were encrypted with a key that is not in PARLEY_TOKEN_KEYS. Add the key "
                "again, or have the app installed again."
            ) from None
        if found.pop(OWNER, None) != owner:
            raise ConfigError(f"The stored tokens of {owner} belong to another owner. Have the app installed again.")
        return found

    def is_current(self, sealed: str) -> bool:
        """Return whether the sealed secrets are encrypted under the first key."""
        try:
            self._first.decrypt(sealed)
        except InvalidToken:
            return False
        return True
