"""Types of arguments and options: IDs, paths, shares, tenants, languages, hosts. None of them may be empty."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from bot.cli import user_messages
from bot.setting_values import host_name

TENANT = re.compile(r"local|slack:[A-Za-z0-9_-]+|discord:[A-Za-z0-9_-]+")


class SourceName(click.ParamType[str]):
    """The name of a source, which may be any bytes. Spaces around it do not count, and an empty one is refused."""

    name = "text"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        stripped = value.strip()
        if not stripped:
            self.fail(user_messages.EMPTY_ID, param, ctx)
        return stripped


class Identifier(SourceName):
    """A name or id. Spaces around it do not count. An empty one is refused, and one that is not UTF-8."""

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if wrong := undecodable([value]):
            self.fail(user_messages.not_utf8(wrong), param, ctx)
        return super().convert(value, param, ctx)


class FilePath(click.Path):
    """A path, as ``click.Path`` takes it. An empty one is refused: Python would read it as the current folder."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        if not str(value).strip():
            self.fail(user_messages.EMPTY_ID, param, ctx)
        return Path(os.fsdecode(super().convert(value, param, ctx)))


class Share(click.FloatRange):
    """A share from 0 to 1."""

    def __init__(self) -> None:
        super().__init__(0, 1)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        share: float = super().convert(value, param, ctx)
        if math.isnan(share):
            self.fail(user_messages.NO_SHARE, param, ctx)
        return share


class TenantId(click.ParamType[str]):
    """The id of a tenant: ``local``, ``slack:TEAM`` or ``discord:GUILD``."""

    name = "text"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not TENANT.fullmatch(value):
            self.fail(user_messages.malformed_tenant(value), param, ctx)
        return value


class Language(click.ParamType[str]):
    """The code of a language, such as ``de`` or ``en-us``."""

    name = "text"
    _code = re.compile(r"[a-z]{2,3}(-[a-z0-9]{2,8})*", re.IGNORECASE)

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not self._code.fullmatch(value):
            self.fail(user_messages.malformed_language(value), param, ctx)
        return value


class Host(click.ParamType[str]):
    """A host name or IP address to listen on, without a port."""

    name = "text"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            return host_name(value)
        except ValueError as error:
            self.fail(f"{value!r} is {error}", param, ctx)


def undecodable(arguments: Sequence[str]) -> str | None:
    """Return the first argument that is not UTF-8, with its bytes escaped; None if all are.

    Python passes such bytes as surrogates, which neither a database nor a network accepts.
    """
    for argument in arguments:
        try:
            argument.encode()
        except UnicodeEncodeError:
            return argument.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return None
