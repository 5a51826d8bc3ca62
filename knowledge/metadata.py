"""What is told of a document beside its text: names of the keys, and dates. Pure.

``format`` is how its bytes were read (``pdf``, ``markdown``), ``author`` a name, ``language`` a code such as ``de``,
``date`` when it was written or last changed, in ISO 8601.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

FORMAT, AUTHOR, LANGUAGE, DATE = "format", "author", "language", "date"
DATES = (DATE, "last-modified")
"""The keys that tell how old a document is, the best first."""


def dated_at(metadata: Mapping[str, str]) -> datetime | None:
    """The date that a document gives itself; None where it gives none that can be read."""
    for key in DATES:
        found = as_date(metadata.get(key, ""))
        if found is not None:
            return found
    return None


def as_date(written: str) -> datetime | None:
    """A date of ISO 8601 or of an e-mail's or HTTP's head, in UTC where no zone is given."""
    for read in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            found = read(written.strip())
        except (ValueError, IndexError, TypeError):
            continue
        return found if found.tzinfo else found.replace(tzinfo=UTC)
    return None
