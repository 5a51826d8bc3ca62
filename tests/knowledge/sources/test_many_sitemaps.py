"""An index with more sitemaps than are read says how many are left out."""

from __future__ import annotations

import pytest

from knowledge.sources import sitemap
from tests.knowledge.sources.test_crawl_and_sitemap import Site, page, paths, read, site

__all__ = ["site"]


async def test_sitemaps_that_are_left_out_are_counted(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sitemap, "MAX_SITEMAPS", 2)
    site.pages = {path: page() for path in "/a /b /c".split()}
    names = ("/1.xml", "/2.xml", "/3.xml", "/4.xml")
    entries = "".join(f"<sitemap><loc>{site.url}{name}</loc></sitemap>" for name in names)
    site.pages |= {name: site.urlset(f"/{letter}") for name, letter in zip(names, "abcd", strict=True)}
    site.pages["/sitemap.xml"] = f"<sitemapindex>{entries}</sitemapindex>"
    documents, failures, error = await read(site.sitemap())
    assert (paths(site, documents), error) == (["/a", "/b"], "")
    assert [(one.source, "2 more sitemaps of the index are left out" in one.error) for one in failures] == [
        (f"sitemap:{site.url}/sitemap.xml", True)
    ]
