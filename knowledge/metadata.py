"""Names the metadata keys of a document, and parses its dates. Does no I/O.

``format`` is the format that its bytes were parsed as (``pdf``, ``markdown``), ``author`` a name, ``language`` a code
such as ``de``, and ``date`` the time it was written or last changed, in ISO 8601.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

FORMAT, AUTHOR, LANGUAGE, DATE = "format", "author", "language", "date"
ATTACHED_TO = "attached_to"
"""The name of the mail or mailbox that a document is attached to."""
PAGE_LABELS = "page_labels"
"""The numbers that the pages bear, as ``page_labels.ranges_of`` returns them."""
LAST_MODIFIED = "last_modified"
"""The Last-Modified header that a web server sent with the document."""
DATES = (DATE, LAST_MODIFIED)
"""The keys that may hold a document's date, the most reliable first."""


def dated_at(metadata: Mapping[str, str]) -> datetime | None:
    """Return the date in a document's metadata; None if there is none that can be parsed."""
    for key in DATES:
        found = as_date(metadata.get(key, ""))
        if found is not None:
            return found
    return None


def as_date(written: str) -> datetime | None:
    """Parse a date in ISO 8601 or in the format of e-mail and HTTP headers; without a time zone it is in UTC."""
    for parse in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            found = parse(written.strip())
        except (ValueError, IndexError, TypeError):
            continue
        return found if found.tzinfo else found.replace(tzinfo=UTC)
    return None
