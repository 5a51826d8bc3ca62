"""URLs in every notation, in every way by which a source fetches something, never reach a private address."""

from __future__ import annotations

import shutil

import pytest

from benchmarks.forbidden_address_forms import forms
from benchmarks.forbidden_addresses import (
    DEFENDED,
    SITE,
    UNDEFENDED,
    WAYS,
    attempt,
    open_spec,
    read_legitimate,
    shoot,
    shooting_range,
)
from knowledge.sources.web_page import UrlSource

NEEDS_GIT = {"redirect of a repository", "alternates of a repository, if git follows"}
FORMS = {"page": 2000, "pages of a sitemap": 2000, "git asks its proxy": 200, "redirect of a repository": 20}
"""How many forms each way gets here; ``python -m benchmarks.forbidden_addresses`` tries all in each way."""


@pytest.mark.parametrize("way", list(WAYS))
async def test_no_form_reaches_a_private_address(way: str) -> None:
    if way in NEEDS_GIT and shutil.which("git") is None:
        pytest.skip("git is not installed")
    (seen,) = await shoot(FORMS.get(way, 150), [way])
    assert (seen.reached, dict(seen.dialed)) == (0, {})
    assert seen.refused.total() > 0
    assert seen.refused["took too long"] == 0


def test_there_are_as_many_forms_as_asked_for() -> None:
    assert len(set(forms(2000))) == 2000


@pytest.mark.parametrize("way", ["page", "redirect of a page", "redirect of robots.txt", "crawl", "sitemap", "git"])
async def test_forms_are_alive_where_loopback_is_allowed(way: str) -> None:
    """The same forms reach the same server where the operator allows loopback, so the test above proves something."""
    (seen,) = await shoot(200, [way], allow=UNDEFENDED)
    assert seen.reached > 0
    assert seen.dialed.total() >= seen.reached


async def test_allowed_site_is_still_read() -> None:
    assert all((await read_legitimate()).values())


async def test_name_is_not_allowed_by_a_pattern_of_addresses() -> None:
    """PARLEY_FETCH_ALLOW=10.1.* is about addresses; anyone can register the name 10.1.evil.example."""
    async with shooting_range(10, allow=(*DEFENDED, "10.1.*")) as made:
        url = f"http://10.1.evil.example:{made.canary_port}/"
        await attempt(made, lambda: UrlSource(url, fetch_allow=made.allow, max_bytes=1000))
        assert (made.reached, dict(made.dialed), made.refused["private address"]) == (0, {}, 1)


async def test_crawl_and_sitemap_refuse_the_given_address_before_anything_is_asked() -> None:
    """The site is allowed, so its robots.txt would be asked; but not under a URL with credentials."""
    async with shooting_range(10) as made:
        for kind in ("crawl", "sitemap"):
            for url in (f"http://user:secret@{SITE}:{made.port}/", f"http://127.0.0.1:{made.port}/"):
                await attempt(made, lambda kind=kind, url=url: open_spec(made, f"{kind}:{url}"))  # type: ignore[misc]
        assert (made.requests, made.refused.total()) == (0, 4)
