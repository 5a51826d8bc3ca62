"""Detects poison turns: questions that keep crashing the processes that run them.

A crash takes down every turn of its process, and most are innocent. So each death is first counted against every turn
that ran there. A turn with ``SUSPECT_AFTER`` deaths becomes a suspect: a process runs at most one suspect at a time,
and if it dies, that death counts against the suspect alone. An innocent turn is answered at one of the next tries; a
poison turn reaches ``MAX_DEATHS``.
"""

from __future__ import annotations

SUSPECT_AFTER = 3
"""Deaths after which a turn runs as the only suspect of its process."""

MAX_DEATHS = 8
"""Deaths after which a turn is given up. Those beyond ``SUSPECT_AFTER`` happened while it was the only suspect."""


def is_suspect(takeovers: int) -> bool:
    """Return whether the turn may be crashing its processes."""
    return takeovers >= SUSPECT_AFTER


def is_poison(takeovers: int) -> bool:
    """Return whether the turn is given up instead of retried."""
    return takeovers >= MAX_DEATHS
