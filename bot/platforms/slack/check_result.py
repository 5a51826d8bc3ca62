"""Defines the result of one Slack check of ``parley doctor``."""

from __future__ import annotations

from typing import NamedTuple


class Check(NamedTuple):
    """The result of one check. ``fix`` says what to do; it is empty if there is nothing to do."""

    name: str
    ok: bool
    detail: str
    fix: str
