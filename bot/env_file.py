"""Checks the ``.env`` file before it is read, so that a line that cannot be read stops the start with its number."""

from __future__ import annotations

import io
from pathlib import Path

from dotenv.parser import Binding, parse_stream

from bot.errors import ConfigError

ENV_FILE = ".env"
ENCODING = "utf-8-sig"
"""UTF-8 with or without a byte order mark, which some editors on Windows write."""


def names() -> set[str]:
    """Return the names that ``.env`` in the current folder sets; none if there is no such file.

    Raises ConfigError with the number of the line if the file cannot be read, is not UTF-8 or has a malformed line. The
    line itself is not repeated, because it may hold a secret.
    """
    try:
        raw = Path(ENV_FILE).read_bytes()
    except FileNotFoundError:
        return set()
    except OSError as error:
        raise ConfigError(f"{ENV_FILE} cannot be read ({error.strerror}). Make it a readable file.") from None
    try:
        text = raw.decode(ENCODING)
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{ENV_FILE}: line {line} is not UTF-8. Save the file as UTF-8.") from None
    bindings = list(parse_stream(io.StringIO(text)))
    for binding in bindings:
        if binding.error or "\x00" in binding.original.string or (binding.key and binding.value is None):
            raise ConfigError(
                f"{ENV_FILE}: line {_line(binding)} is malformed. Write NAME=VALUE, with both quotes or none."
            )
    return {binding.key for binding in bindings if binding.key}


def _line(binding: Binding) -> int:
    """Return the number of the binding's own line, without the empty lines before it."""
    text = binding.original.string
    return binding.original.line + text[: len(text) - len(text.lstrip())].count("\n")
