"""Detects poison turns: questions that keep crashing the processes that run them.

A crash ends every turn of its process, and most of them did not cause it. So each process death first counts against
every turn that ran in the process. A turn with ``SUSPECT_AFTER`` deaths becomes a suspect. A process runs at most one
suspect at a time, and if the process dies, the death counts against the suspect alone. An innocent turn is answered in
one of the next attempts; a poison turn reaches ``MAX_DEATHS``.
"""

from __future__ import annotations

SUSPECT_AFTER = 3
"""Deaths after which a turn runs as the only suspect of its process."""

MAX_DEATHS = 8
"""Deaths after which a turn is not retried. Those beyond ``SUSPECT_AFTER`` happened while it was the only suspect."""


def is_suspect(takeovers: int) -> bool:
    """Return whether the turn may be crashing its processes."""
    return takeovers >= SUSPECT_AFTER


def is_poison(takeovers: int) -> bool:
    """Return whether the turn must not be retried."""
    return takeovers >= MAX_DEATHS
