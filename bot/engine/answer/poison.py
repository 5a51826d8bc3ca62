"""Which turn may be what kills its processes: told from the deaths that are laid to its charge.

A process that dies takes all its turns along, and most of them are innocent, the more so where a machine is restarted.
A death is first noted against every turn that ran in the process. One against which ``SUSPECT_AFTER`` are noted is a
suspect from then on: a process runs one suspect at a time, beside others, and where it dies with a suspect the death is
noted against that one alone. Who is innocent gets its answer at one of the next tries; who kills is soon known.
"""

from __future__ import annotations

SUSPECT_AFTER = 3
"""Deaths noted against a turn from which on it is run as the only suspect of its process."""

MOST_DEATHS = 8
"""Deaths after which a turn is given up; those beyond ``SUSPECT_AFTER`` happened while it was the only suspect."""


def is_suspect(takeovers: int) -> bool:
    """Whether the turn may be what kills its processes."""
    return takeovers >= SUSPECT_AFTER


def is_given_up(takeovers: int) -> bool:
    """Whether the turn is ended rather than tried once more."""
    return takeovers >= MOST_DEATHS
