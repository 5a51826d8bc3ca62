"""Ends a check that was given input which it cannot use, so that it does not look like a check that passed."""

from __future__ import annotations

import sys

STATUS = 2
"""The exit status; 1 means that the check ran and found a fault."""


def unusable(reason: str) -> int:
    """Print on stderr why the check did not run, and return the exit status."""
    print(f"Not checked: {reason}", file=sys.stderr)
    return STATUS
