"""URLs are parsed once, into the host that is dialed. What has several meanings is refused."""

from __future__ import annotations

import ipaddress
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from knowledge.errors import SourceError
from knowledge.sources.source_factory import open_source
from knowledge.sources.web_address import WebAddressError, parse_web_address


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://example.org", "http://example.org"),
        ("HTTPS://Example.ORG.:8443/A b?c#d", "https://example.org:8443/A%20b?c#d"),
        ("http://bücher.example/", "http://xn--bcher-kva.example/"),
        ("http://ｅｘａｍｐｌｅ。org/", "http://example.org/"),
        ("http://①②⑦.⓪.⓪.①:81/x", "http://127.0.0.1:81/x"),
        ("http://１２７。０。０。１/", "http://127.0.0.1/"),
        ("http://2130706433/", "http://127.0.0.1/"),
        ("http://0x7f000001/", "http://127.0.0.1/"),
        ("http://0177.0.0.1/", "http://127.0.0.1/"),
        ("http://0x7f.1/", "http://127.0.0.1/"),
        ("http://127.1./", "http://127.0.0.1/"),
        ("http://0/", "http://0.0.0.0/"),
        ("http://16843009/", "http://1.1.1.1/"),
        ("http://[0:0:0:0:0:ffff:127.0.0.1]/", "http://[::ffff:7f00:1]/"),
        ("http://[2606:4700:0:0::1111]:80/", "http://[2606:4700::1111]/"),
    ],
)
def test_every_notation_becomes_one(text: str, url: str) -> None:
    assert str(parse_web_address(text)) == url
    assert str(parse_web_address(url)) == url


@pytest.mark.parametrize(
    "text",
    [
        "",
        "example.org",
        "ftp://example.org/",
        "http:///example.org/",
        "http:/example.org/",
        "http:\\\\example.org\\",
        "http://",
        "http://:80/",
        "http://example.org:0/",
        "http://example.org:99999/",
        "http://a..b/",
        "http://example.org../",
        "http://exa mple.org/",
        "http://example.org\\@evil.example/",
        "http://example.org%2f.evil.example/",
        "http://%31%32%37.0.0.1/",
        "http://127.0.0.1\0.evil.example/",
        "http://1\u00ad27.0.0.1/",
        "http://1\u200b27.0.0.1/",
        "http://[fe80::1%25lo]/",
        "http://[::1%lo]/",
        "http://[::1",
        "http://[::1]x/",
        "http://256.0.0.1/",
        "http://1.2.3.4.5/",
        "http://08.0.0.1/",
        "http://4294967296/",
        "http://a.b.0x7f/",
        f"http://{'a' * 64}.org/",
        f"http://example.org/{'a' * 9000}",
    ],
)
def test_what_has_no_meaning_or_several_is_refused(text: str) -> None:
    with pytest.raises(WebAddressError, match="not a web address"):
        parse_web_address(text)


@pytest.mark.parametrize("user", ["user:secret@", "user@", ":secret@", "example.org:80@"])
def test_credentials_are_refused(user: str) -> None:
    with pytest.raises(WebAddressError, match="name or password"):
        parse_web_address(f"http://{user}example.org/")


@pytest.mark.parametrize(
    "spec", ["http://[", "crawl:http://[", "sitemap:http://[::1", "git:http://[x]/y", "http://a..b"]
)
def test_malformed_urls_are_refused_when_a_source_is_opened(spec: str) -> None:
    with pytest.raises(SourceError, match="not a web address"):
        open_source(spec, fetch_allow=(), max_bytes=1000, files=False)


HOSTS = st.text(
    st.sampled_from("0123456789abcdefxX.。．①⑦１７②\u00ad\u200b%:[]@\\/#? \tß-_") | st.characters(codec="utf-8"),
    max_size=20,
)


@given(HOSTS)
def test_host_is_an_ascii_name_or_a_canonical_address(host: str) -> None:
    """Whatever the text is: what was checked is what the HTTP client reads from the URL, and nothing maps it again."""
    try:
        url = parse_web_address(f"http://{host}/")
    except WebAddressError:
        return
    found = url.raw_host or ""
    assert URL(str(url)).raw_host == found
    try:
        assert ipaddress.ip_address(found).compressed == found
    except ValueError:
        assert re.fullmatch(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*", found)
        assert not re.fullmatch(r"0x[0-9a-f]*|[0-9]+", found.rpartition(".")[2])
