"""Reads and writes the ``.env`` file. A line that cannot be read stops the start with its number."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from pathlib import Path

from dotenv import dotenv_values, set_key
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


def read() -> dict[str, str]:
    """Return the values that ``.env`` in the current folder sets, without empty ones. Raises ConfigError."""
    names()
    return {name: value for name, value in dotenv_values(ENV_FILE, encoding=ENCODING).items() if value}


def write(values: Mapping[str, str]) -> None:
    """Set values in ``.env`` in the current folder, which only its owner can read afterwards. Other lines stay.

    The file is replaced as a whole, so that an interruption leaves the old one. Raises ConfigError if it cannot be
    written, or if a value would be read back differently.
    """
    target = Path(ENV_FILE).resolve()
    draft = target.with_name(f"{target.name}.{os.getpid()}.tmp")
    try:
        try:
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(target.read_text(ENCODING) if target.exists() else "")
            for name, value in values.items():
                set_key(draft, name, value, quote_mode="auto")
            stored = dotenv_values(draft)
            for name, value in values.items():
                if stored.get(name) != value:
                    raise ConfigError(f"{name}: {ENV_FILE} cannot hold this value. Set it in the environment instead.")
            draft.chmod(0o600)
            draft.replace(target)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(f"{ENV_FILE} cannot be written ({error.strerror}). Make the folder writable.") from None


def _line(binding: Binding) -> int:
    """Return the number of the binding's own line, without the empty lines before it."""
    text = binding.original.string
    return binding.original.line + text[: len(text) - len(text.lstrip())].count("\n")
