"""Web and mail addresses in a text, and when two of them are the same. Pure."""

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
"""What a chat client may turn into a link by itself: with a scheme, ``www.``, mail, and hosts without a scheme.

A bare host counts only under top-level names that are not also the endings of files (``notes.md``, ``main.py``).
"""

_TRAILING = ".,;:!?'\"*_~)]}”’»"
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*):(?://)?", re.IGNORECASE)
_WEB = re.compile(r"(?:https?:)?//", re.IGNORECASE)
_BRACKETS = str.maketrans("()[]<>", "      ")


@lru_cache(maxsize=64)
def urls_in(*texts: str) -> frozenset[str]:
    """Every address in the texts, in the form in which ``permitted`` compares them."""
    found: set[str] = set()
    for text in texts:
        for reading in (text, text.translate(_BRACKETS)):
            for match in ADDRESS.finditer(reading):
                found.update((_canonical(match.group()), _canonical(trimmed(match.group()))))
    return frozenset(found)


def permitted(address: str, allowed: frozenset[str]) -> bool:
    """Whether the whole address is one of the allowed ones, and of a kind that only opens a page or a mail."""
    scheme = _SCHEME.match(address)
    if scheme and scheme.group(1).lower() not in ("http", "https", "mailto") and "." not in scheme.group(1):
        return False
    return bool(address) and _canonical(address) in allowed


def trimmed(address: str) -> str:
    """The address without the punctuation that ends the sentence it stands in."""
    while address and address[-1] in _TRAILING:
        if address[-1] == ")" and address.count("(") >= address.count(")"):
            break
        address = address[:-1]
    return address


def _canonical(address: str) -> str:
    """Scheme of the web left out, host in lower case, no slash alone at the end; else letter by letter."""
    address = address.strip().replace("&amp;", "&")
    if address[:7].lower() == "mailto:":
        return address[7:].lower()
    web = _WEB.match(address)
    rest = address[web.end() :] if web else address
    host = re.match(r"[^/?#]*", rest)
    end = host.end() if host else 0
    return (rest[:end].lower() + rest[end:]).rstrip("/")
