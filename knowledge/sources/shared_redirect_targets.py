"""Detects that many addresses redirect to one page, such as a notice or a start page. Does no I/O."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from knowledge.types.source_items import Failure, Fetched, Item

SAME_ENDS = 3
"""So many addresses that end at one page are taken for a notice, start page or sign-in."""


class RedirectEnds:
    """The pages to which the addresses of a site redirect. They wait until the whole site is read."""

    def __init__(self) -> None:
        self._ends: dict[str, list[Fetched]] = {}

    def is_waiting(self, item: Item) -> bool:
        """Return whether the item is a page to which its address redirects; it is then among ``decided``."""
        if not isinstance(item, Fetched) or "at" not in item.metadata:
            return False
        found = self._ends.setdefault(item.metadata["at"], [])
        found.append(item if len(found) < SAME_ENDS else replace(item, data=b""))
        return True

    def decided(self) -> Iterator[Item]:
        """Yield the pages that waited, and a failure for each address that ends at the page of others."""
        for end, found in self._ends.items():
            for item in found:
                yield _same_end(item.uri, end) if len(found) >= SAME_ENDS else item


def _same_end(url: str, end: str) -> Failure:
    return Failure(
        url,
        f"it redirects to {end}, like other addresses, so what was read before is kept. Check the site.",
        replaced=True,
    )
