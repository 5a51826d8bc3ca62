"""Counts what this process refused, until the counts are stored for the operator. Costs no more than a lock."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from typing import Literal, get_args

RefusalKind = Literal["address", "upload", "quota", "parser", "stranger", "link", "sign-in", "signature"]
"""What was refused.

``address``: a request to a forbidden address. ``upload``: a file that is too large. ``quota``: more documents than a
person may add in a day. ``parser``: a file that crashed the parser or exceeded its limits. ``stranger``: a person from
outside. ``link``: an answer with a link that is neither in the question nor in a source. ``sign-in``: a wrong token.
``signature``: a request that Slack did not sign.
"""
KINDS: tuple[RefusalKind, ...] = get_args(RefusalKind)
WHOLE_SERVER = "*"
"""Stands for the tenant if a refusal belongs to none, or if the tenant is not known where it happens."""

Counts = Mapping[tuple[str, RefusalKind], int]
"""Numbers of refusals by tenant and kind."""

_lock = threading.Lock()
_counts: Counter[tuple[str, RefusalKind]] = Counter()


def count(kind: RefusalKind, tenant_id: str = WHOLE_SERVER) -> None:
    """Count one refusal."""
    add({(tenant_id, kind): 1})


def add(counts: Counts) -> None:
    """Add refusals, such as those that could not be stored."""
    with _lock:
        _counts.update(counts)


def take() -> dict[tuple[str, RefusalKind], int]:
    """Return the refusals since the last call, and forget them."""
    with _lock:
        taken = dict(_counts)
        _counts.clear()
    return taken
