"""Source of a single web page."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from knowledge.sources.page_rendering import PageRenderer
from knowledge.sources.web_client import REFUSED_TYPES, TIMEOUT_SECONDS, NotModified, WebClient, page_document
from knowledge.types.source_items import NOTHING_KNOWN, Fetched, Known, Unchanged

_REFUSED = tuple(kind for kind in REFUSED_TYPES if kind != "image/")


class UrlSource:
    """One web page, or a picture, whose text is read where the extra for it is installed.

    The document keeps the requested URL as its name, even after a redirect.
    """

    kind = "url"

    def __init__(
        self,
        url: str,
        *,
        fetch_allow: Sequence[str],
        max_bytes: int,
        seconds: float = TIMEOUT_SECONDS,
        renderer: PageRenderer | None = None,
    ) -> None:
        self.uri = url
        self._client = WebClient(fetch_allow=fetch_allow, max_bytes=max_bytes, seconds=seconds, renderer=renderer)

    def count(self) -> int | None:
        return 1

    async def fetch(self, known: Known = NOTHING_KNOWN) -> AsyncIterator[Fetched | Unchanged]:
        """Yield the page, or Unchanged. Raises PageError."""
        async with self._client as client:
            page = await client.get_if_modified(self.uri, known.documents.get(self.uri), refused=_REFUSED)
            yield Unchanged(self.uri) if isinstance(page, NotModified) else page_document(self.uri, page)
