"""Reports unusable input with exit status 2, so that the check does not appear to pass."""

from __future__ import annotations

import sys

STATUS = 2
"""The exit status; 1 means that the check ran and found a fault."""


def unusable(reason: str) -> int:
    """Print on stderr why the check did not run, and return the exit status."""
    print(f"Not checked: {reason}", file=sys.stderr)
    return STATUS
