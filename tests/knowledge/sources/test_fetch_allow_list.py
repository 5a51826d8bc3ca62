"""PARLEY_FETCH_ALLOW: entries for addresses admit no names, entries for names admit no addresses, bad ones stop."""

from __future__ import annotations

import ipaddress

import pytest

from knowledge.sources.fetch_allow_list import allows, parse_entry


@pytest.mark.parametrize(
    ("entry", "host", "address", "admitted"),
    [
        ("10.1.*", "10.1.2.3", "10.1.2.3", True),
        ("10.1.*", "wiki.corp", "10.1.2.3", True),
        ("10.1.*", "10.1.evil.example", "10.2.0.1", False),
        ("10.1.*", "10.1.evil.example", "127.0.0.1", False),
        ("10.1.*.*", "10.1.2.3", "10.1.2.3", True),
        ("10.*", "10.200.2.3", "10.200.2.3", True),
        ("10.1.2.*", "10.1.3.1", "10.1.3.1", False),
        ("10.0.0.0/8", "::ffff:a00:5", "::ffff:10.0.0.5", True),
        ("10.0.0.5", "x", "64:ff9b:1::10.0.0.5", False),
        ("10.0.0.5", "x", "fe80::5efe:10.0.0.5", False),
        ("fd00::/8", "wiki.corp", "fd00::1", True),
        ("[::1]", "::1", "::1", True),
        ("wiki.corp", "wiki.corp", "10.0.0.5", True),
        ("Wiki.Corp.", "wiki.corp", "10.0.0.5", True),
        ("wiki.corp", "xwiki.corp", "10.0.0.5", False),
        ("wiki.corp", "a.wiki.corp", "10.0.0.5", False),
        ("*.corp", "a.b.corp", "10.0.0.5", True),
        ("*.corp", "corp", "10.0.0.5", False),
        ("*.corp", "10.0.0.5", "10.0.0.5", False),
        ("wiki-*.corp", "wiki-1.corp", "10.0.0.5", True),
        ("wiki-*.corp", "wiki-1.evil.corp", "10.0.0.5", False),
        ("wiki-*", "wiki-1", "10.0.0.5", True),
        ("wiki-*", "wiki-1.evil.example", "10.0.0.5", False),
        ("fd*", "fd00::1", "fd00::1", False),
        ("fd*", "fd-wiki", "fd00::1", True),
        ("1*", "127.0.0.1", "127.0.0.1", False),
        ("bücher.corp", "xn--bcher-kva.corp", "10.0.0.5", True),
        ("localhost", "localhost", "127.0.0.1", True),
    ],
)
def test_entries(entry: str, host: str, address: str, admitted: bool) -> None:
    assert allows(entry, host, ipaddress.ip_address(address)) is admitted


@pytest.mark.parametrize(
    ("entry", "cure"),
    [
        ("", "wiki.corp"),
        ("*", "only in the first part"),
        ("*.*", "only in the first part"),
        ("*.", "only in the first part"),
        ("wiki.*", "only in the first part"),
        ("a.*.corp", "only in the first part"),
        ("wiki.corp*", "only in the first part"),
        ("10.*.1.2", "such as 10.1.2.3"),
        ("10.1.2.3.*", "10.1.0.0/16"),
        ("10.1.*.*.*", "10.1.0.0/16"),
        ("300.*", "such as 10.1.2.3"),
        ("300.1.1.1", "such as 10.1.2.3"),
        ("127.1", "such as 10.1.2.3"),
        ("0x7f000001", "such as 10.1.2.3"),
        ("①②⑦.0.0.1", "such as 10.1.2.3"),
        ("10.0.0.0/33", "such as 10.1.2.3"),
        ("fd00::*", "such as 10.1.2.3"),
        ("fe80::1%eth0", "such as 10.1.2.3"),
        ("wiki.corp:8080", "such as 10.1.2.3"),
        ("http://wiki.corp/", "only the host"),
        ("user@wiki.corp", "only the host"),
        ("wiki?.corp", "only the host"),
        ("[ab].corp", "such as wiki.corp"),
        ("wiki corp", "such as wiki.corp"),
        ("wiki..corp", "such as wiki.corp"),
        ("*.[ab].corp", "such as wiki.corp"),
        ("[ab]*.corp", "only in the first part"),
    ],
)
def test_bad_entries_say_what_to_write(entry: str, cure: str) -> None:
    with pytest.raises(ValueError, match=cure):
        parse_entry(entry)
