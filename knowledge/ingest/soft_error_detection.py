"""Detects sign-in pages, notices and error pages that a server sends with status 200 in place of a page.

The changed pages of a site wait in a file until the whole site is read, because only then it shows that many of them
have become the same page. Does no I/O besides that file.
"""

from __future__ import annotations

import hashlib
import pickle
import re
import tempfile
from collections import Counter
from collections.abc import Iterator

from knowledge.full_temporary_disk import discard, full_disk_reported
from knowledge.ingest.read_document import ReadDocument
from knowledge.types.source_items import Failure

WEB_KINDS = ("url", "crawl", "sitemap")
SHORT_SHARE = 0.1
"""A page that is shorter than this share of its earlier text is not taken for an edit."""
SHORT_CHARS = 1_000
"""A page whose earlier text is shorter may shrink by any amount."""
SAME_PAGES = 3
"""So many addresses whose pages have become the same are taken for one notice or sign-in page."""
MEMORY_BYTES = 2**20
_PASSWORD_FIELD = re.compile(rb"<input\b[^>]*\btype\s*=\s*[\"']?password", re.IGNORECASE)
_ACCEPT = "The earlier text is kept. Refresh it with --accept-removals if the change is right."
SAME = f"its page became the same as that of other addresses, such as a notice or a sign-in. {_ACCEPT}"
LOST_LINKS = f"it changed while most pages of its site are gone, so it may be a notice. {_ACCEPT}"
SIGN_IN = f"it became a page that asks for a password. {_ACCEPT}"


def suspicion(data: bytes, characters: int, stored: int) -> str:
    """Return why a page with so many ``characters`` does not replace the stored text; empty if it does."""
    if characters < stored / 2 and _PASSWORD_FIELD.search(data):
        return SIGN_IN
    if stored >= SHORT_CHARS and characters < SHORT_SHARE * stored:
        return f"its page has only {characters} of the {stored:,} characters that it had before. {_ACCEPT}"
    return ""


class ChangedPages:
    """The changed pages of one reading, in a file without a name. Close it to free the space.

    ``names`` are those of their documents.
    """

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=MEMORY_BYTES)  # noqa: SIM115 - closed by ``close``
        self._texts: list[str] = []
        self.names: list[str] = []

    def add(self, page: ReadDocument) -> None:
        """Append a page. Raises DiskFullError, after which the pages are of no use."""
        with full_disk_reported():
            pickle.dump(page, self._file, pickle.HIGHEST_PROTOCOL)
            self._file.flush()
        self.names.append(page.document.uri)
        self._texts.append(hashlib.sha256(page.document.text.encode("utf-8", "replace")).hexdigest())

    def decided(self, stored: int, *, is_site_lost: bool) -> Iterator[ReadDocument | Failure]:
        """Yield the pages that may be stored, and a failure for the others. ``stored``: documents before the reading.

        A source of fewer documents is taken for replaced when two pages, and all of them, have become the same.
        ``is_site_lost``: too many pages of the site are gone, so that none may be stored.
        """
        self._file.seek(0)
        limit = max(2, min(SAME_PAGES, stored))
        shared = {digest for digest, number in Counter(self._texts).items() if number >= limit}
        for digest in self._texts:
            # Only this object writes the file, and no other process can open it.
            page: ReadDocument = pickle.load(self._file)  # noqa: S301
            reason = SAME if digest in shared else LOST_LINKS if is_site_lost else ""
            yield Failure(page.document.uri, reason, replaced=True) if reason else page

    def close(self) -> None:
        """Delete the pages."""
        discard(self._file)
