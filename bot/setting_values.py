"""Types and checks of setting values: names in the environment, lists, web addresses and hosts."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, AliasChoices, BeforeValidator, SecretStr
from pydantic_settings import NoDecode

_HOST_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9])?\.?")


def named(name: str) -> AliasChoices:
    """Return the alias of a setting that has this name in the environment."""
    return AliasChoices(name)


def one_line(value: object) -> object:
    """Return a text without the spaces around it; the empty text and any other value as it is.

    Raises ValueError for a text of spaces alone, and for one with control characters such as line breaks.
    """
    if not isinstance(value, str) or not value:
        return value
    stripped = value.strip(" ")
    if not stripped:
        raise ValueError("blank. Write a value, or remove the setting")
    if not stripped.isprintable():
        raise ValueError("it has a line break or another control character")
    return stripped


def comma_separated(value: object) -> object:
    """Return the parts of a comma-separated text, without empty ones; any other value as it is."""
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(comma_separated)]
"""A setting that is a comma-separated list in the environment."""


def _printable_ascii(value: SecretStr) -> SecretStr:
    if not re.fullmatch(r"[!-~]+", value.get_secret_value()):
        raise ValueError("it has a space or a character that no key has, such as a curly quote. Copy it again")
    return value


Key = Annotated[SecretStr, AfterValidator(_printable_ascii)]
"""A secret that is sent in the header of a request, so that it must be ASCII without spaces."""


def is_address(value: str, schemes: tuple[str, ...]) -> bool:
    """Return whether ``value`` is an address with one of the schemes, a host and, if it names a port, a valid one."""
    try:
        parts = urlsplit(value)
        return parts.scheme in schemes and bool(parts.hostname) and parts.port != 0 and not re.search(r"\s", value)
    except ValueError:
        return False


def web_address(value: str | None, fix: str) -> str | None:
    """Return the value. Raises ValueError with ``fix`` if it is no http or https address."""
    if value and not is_address(value, ("http", "https")):
        raise ValueError(f"not a web address. {fix}")
    return value


def host_name(value: str) -> str:
    """Return the value. Raises ValueError if it is neither a host name nor an IP address."""
    try:
        ipaddress.ip_address(value)
    except ValueError:
        if not _HOST_NAME.fullmatch(value):
            raise ValueError("not a host. Write an address or a name without a port, such as 127.0.0.1") from None
    return value
