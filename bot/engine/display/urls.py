"""Finds URLs and mail addresses in a text and checks them against an allow-list. Does no I/O."""

from __future__ import annotations

import re
from functools import lru_cache

_END = r"[^\s<>`|\\\"\x00]*"
_COLON = r"\\?(?::|&#0*58;|&#[xX]0*3[aA];|&colon;)"
_SCRIPT = rf"(?:javascript|vbscript|data|file|mailto|tel|blob|about|intent){_COLON}(?=\S)"
_TOP_LEVEL = (
    "com|org|net|info|biz|edu|gov|io|ai|dev|app|co|me|tv|gg|xyz|top|site|online|link|click|club|shop|store|cloud|tech|"
    "space|live|pro|to|ly|eu|uk|us|de|fr|nl|be|ch|at|it|es|se|no|fi|dk|pl|cz|ru|su|ua|cn|jp|kr|in|br|ca|au|nz|tk|ml|ga"
)
_HOST = r"(?<![\w@.-])(?:[\w-]+\.)+"
ADDRESS = re.compile(
    rf"(?<![a-zA-Z0-9+.])(?:[a-zA-Z][a-zA-Z0-9+.-]{{1,500}}{_COLON}//|www\.){_END}"
    rf"|\b{_SCRIPT}{_END}"
    r"|(?<![\w.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)+"
    rf"|{_HOST}(?:[^\W\d_]{{2,}}|xn--[\w-]+)(?::\d+)?[/?#]{_END}"
    rf"|{_HOST}(?:{_TOP_LEVEL})(?::\d+)?(?![\w.-]*\w)",
    re.IGNORECASE,
)
"""Text that a chat client may turn into a link by itself: URLs with a scheme, ``www.``, mail addresses, bare hosts.

A bare host counts only under top-level domains that are not also file extensions (``notes.md``, ``main.py``).
"""

_TRAILING = ".,;:!?'\"*_~)]}”’»"
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*):(?://)?", re.IGNORECASE)
_WEB = re.compile(r"(?:https?:)?//", re.IGNORECASE)
_BRACKETS = str.maketrans("()[]<>", "      ")


@lru_cache(maxsize=64)
def urls_in(*texts: str) -> frozenset[str]:
    """Return every address in the texts, in the form that ``permitted`` compares."""
    found: set[str] = set()
    for text in texts:
        for variant in (text, text.translate(_BRACKETS)):
            for match in ADDRESS.finditer(variant):
                found.update((_canonical(match.group()), _canonical(trimmed(match.group()))))
    return frozenset(found)


def permitted(address: str, allowed: frozenset[str]) -> bool:
    """Return whether the whole address is on the allow-list and has a scheme that only opens a page or a mail."""
    scheme = _SCHEME.match(address)
    if scheme and scheme.group(1).lower() not in ("http", "https", "mailto") and "." not in scheme.group(1):
        return False
    return bool(address) and _canonical(address) in allowed


def trimmed(address: str) -> str:
    """Return the address without trailing sentence punctuation."""
    while address and address[-1] in _TRAILING:
        if address[-1] == ")" and address.count("(") >= address.count(")"):
            break
        address = address[:-1]
    return address


def _canonical(address: str) -> str:
    """Return the address without the web scheme, with a lower-case host and without a trailing slash.

    Everything else is compared letter by letter.
    """
    address = address.strip().replace("&amp;", "&")
    if address[:7].lower() == "mailto:":
        return address[7:].lower()
    web = _WEB.match(address)
    rest = address[web.end() :] if web else address
    host = re.match(r"[^/?#]*", rest)
    end = host.end() if host else 0
    return (rest[:end].lower() + rest[end:]).rstrip("/")
