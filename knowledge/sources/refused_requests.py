"""Counts and logs the requests that are refused because of their address, for the operator."""

from __future__ import annotations

import logging
from collections import Counter

from knowledge import refusal_counts

log = logging.getLogger(__name__)

refused_requests: Counter[str] = Counter()
"""Refused requests of this process, by reason: ``url``, ``address``, ``peer``, ``proxy`` or ``tunnel``."""


def record_refusal(reason: str, host: str, address: str) -> None:
    """Count a refused request and log it. Host and address are quoted, because an attacker may have chosen them."""
    refused_requests[reason] += 1
    refusal_counts.count("address")
    log.warning(
        "Refused a request for %.100r at %.100r (%s); %d refused since the start. PARLEY_FETCH_ALLOW can allow it.",
        host,
        address,
        reason,
        refused_requests.total(),
    )


def record_refused_url() -> None:
    """Count a URL that is malformed or has a password in it, and log that. The URL is not logged, for the password."""
    refused_requests["url"] += 1
    refusal_counts.count("address")
    log.warning(
        "Refused a URL that is malformed or has a name or password in it (url); %d refused since the start.",
        refused_requests.total(),
    )
