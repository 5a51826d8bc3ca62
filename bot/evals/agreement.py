"""Statistics of verdicts: confidence intervals of pass rates, and the agreement of two raters. Does no I/O."""

from __future__ import annotations

import math
from collections.abc import Sequence

Z95 = 1.959964
"""The quantile of the normal distribution for an interval of 95%."""


def wilson(passed: int, judged: int) -> tuple[float, float]:
    """Return Wilson's interval of 95% for a share; from 0 to 1 if nothing was judged."""
    if not judged:
        return 0.0, 1.0
    share, z = passed / judged, Z95**2 / judged
    middle = (share + z / 2) / (1 + z)
    half = math.sqrt(z * (share * (1 - share) + z / 4)) / (1 + z)
    return max(0.0, middle - half), min(1.0, middle + half)


def kappa(verdicts: Sequence[tuple[bool, bool]]) -> float | None:
    """Return Cohen's kappa of pairs of verdicts: 1 for full agreement, 0 for that of chance.

    None without pairs, and if both raters gave all the same verdict, because then chance explains everything.
    """
    if not verdicts:
        return None
    count = len(verdicts)
    observed = sum(one == other for one, other in verdicts) / count
    first, second = (sum(pair[rater] for pair in verdicts) / count for rater in (0, 1))
    expected = first * second + (1 - first) * (1 - second)
    return None if expected == 1 else (observed - expected) / (1 - expected)
