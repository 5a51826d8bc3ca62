"""Finds URLs and mail addresses in a text and checks them against an allow-list. Does no I/O."""

from __future__ import annotations

import re
from functools import lru_cache

END_MARKS = r"<>`|\\\""
"""Characters that end an address, for a character class. A client may read on behind them, except behind ``<``."""
_END = rf"[^\s\x00{END_MARKS}]*"
_COLON = r"\\?(?::|&#0*58;|&#[xX]0*3[aA];|&colon;)"
_SLASH = r"(?:\\?/|&#0*47;|&#[xX]0*2[fF];|&sol;)"
_MARK = rf"{_COLON}{_SLASH}{_SLASH}"
_SCRIPT = rf"(?<![a-zA-Z0-9])(?:javascript|vbscript|data|file|mailto|tel|blob|about|intent){_COLON}(?=\S)"
_TOP_LEVEL = (
    "com|org|net|info|biz|edu|gov|io|ai|dev|app|co|me|tv|gg|xyz|top|site|online|link|click|club|shop|store|cloud|tech|"
    "space|live|pro|to|ly|eu|uk|us|de|fr|nl|be|ch|at|it|es|se|no|fi|dk|pl|cz|ru|su|ua|cn|jp|kr|in|br|ca|au|nz|tk|ml|ga|"
    "news|page|blog|wiki|name|mobi|digital|today|world|life|email|host|fun|icu|vip|support|download|review|win|bid|cc|"
    "sg|hk|tw|tr|gr|pt|ie|hu|ro|bg|lt|lv|ee|mx|ar|cl|za|il|ir|id|vn|th|cf|gq|ws"
)
_NEW_WORD = r"(?<![\w@-])(?<![\w@-]\.)"
"""Before a host; a dot before it belongs to it only if a name stands before the dot."""
_HOST = rf"{_NEW_WORD}(?:[\w-]+\.)+"
_IPV4 = rf"{_NEW_WORD}\d{{1,3}}(?:\.\d{{1,3}}){{3}}"
ADDRESS = re.compile(
    rf"(?<![a-zA-Z0-9])[a-zA-Z0-9][a-zA-Z0-9+.-]{{1,60}}{_MARK}{_END}"
    rf"|https?{_MARK}{_END}"
    rf"|(?<=[<(])https?{_COLON}(?=[\w/]){_END}"
    rf"|(?<![a-zA-Z0-9+])(?<![a-zA-Z0-9+]\.)www\.{_END}"
    rf"|{_SCRIPT}{_END}"
    r"|(?<![\w.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)+"
    rf"|{_HOST}(?:[^\W\d_]{{2,}}|xn--[\w-]+)(?::\d+)?[/?#]{_END}"
    rf"|{_IPV4}(?::\d+)?[/?#]{_END}"
    rf"|\[[0-9a-f]*(?::[0-9a-f.]*){{2,7}}\](?::\d+)?[/?#]{_END}"
    rf"|{_HOST}(?:{_TOP_LEVEL})(?:\.+[^\W\d_]+)+(?![\w-])"
    rf"|{_HOST}(?:{_TOP_LEVEL})(?::\d+)?(?![\w-]*[^\W_]|[\w-]*\.+[^\W\d_])",
    re.IGNORECASE,
)
"""Text that a chat client may turn into a link by itself: URLs with a scheme, ``www.``, mail addresses, bare hosts.

A bare host counts only under top-level domains that are not also file extensions (``notes.md``, ``main.py``). A scheme
counts also after a digit: Discord turns the end of ``7https://a.example`` into a link.
"""

TRAILING = ".,;:!?'\"*_~)]}”“’‘»«›‹…」』】）。，、！？：；"
"""Marks that belong to the sentence, not to the address that they follow."""
_READ_ON = re.compile(rf"[^\s<]*?[^\s<>`|{re.escape(TRAILING)}]|[^\s<]*<[@!#]")
"""What follows an address that a client reads on: anything but marks before the next space or ``<``.

A ``<`` that could begin a mention is replaced by a letter-like character later.
"""
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*):(?://)?", re.IGNORECASE)
_WEB = re.compile(r"(?:https?:)?//", re.IGNORECASE)
_DEFANG_PASSES = 5
_WORD_END = re.compile(r"$|[\s<>]")
_DEFANGED = re.compile(r"[.:@&]")
_SAFE_MARKS = {".": "[.]", ":": "[:]", "@": "[at]", "&": "＆"}
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


def permitted(address: str, allowed: frozenset[str], cut: str = "") -> bool:
    """Return whether the whole address is on the allow-list and has a scheme that only opens a page or a mail.

    With ``cut``, the start of an allowed address counts too, if one of these characters follows it there.
    """
    scheme = _SCHEME.match(address)
    if scheme and scheme.group(1).lower() not in ("http", "https", "mailto") and "." not in scheme.group(1):
        return False
    canonical = _canonical(address)
    if not address or not canonical:
        return False
    return canonical in allowed or (
        bool(cut) and any(one.startswith(canonical) and one[len(canonical)] in cut for one in allowed)
    )


def has_other_address(text: str, allowed: frozenset[str], cut: str = "") -> bool:
    """Return whether the text holds an address that is not allowed, or an allowed one that a client would read on.

    ``cut`` names marks at which an address may end early: a parser ends a piece of text at a mark of emphasis, also
    inside an address.
    """
    for found in ADDRESS.finditer(text):
        address = trimmed(found.group())
        if not address or address.lower() == "www":
            continue
        if not permitted(address, allowed, cut) or _is_read_on(text, found):
            return True
    return False


def _is_read_on(text: str, address: re.Match[str]) -> bool:
    """Return whether a client may add the text behind an address to it, as in ``https://a.example/x|y``."""
    start, end = address.span()
    if start and text.startswith("<", start - 1) and text.startswith(">", end):
        return False
    follower = text[end : end + 1]
    if follower == "<" and text.startswith("](", max(0, start - 2)):
        return True
    return follower != "" and follower in END_MARKS and _READ_ON.match(text, end) is not None


def defanged(text: str, allowed: frozenset[str]) -> str:
    """Return the text with every address that is not allowed written so that no client links it.

    One address may hide the start of another, as in ``ann@a.examplehttps://b.example``, so this repeats.
    """

    def shown(found: re.Match[str]) -> str:
        address = trimmed(found.group())
        if not address or address.lower() == "www":
            return found.group()
        if permitted(address, allowed):
            return found.group() + ("" if _WORD_END.match(text, found.end()) else " ")
        return _DEFANGED.sub(lambda mark: _SAFE_MARKS[mark.group()], found.group())

    for _ in range(_DEFANG_PASSES):
        before, text = text, ADDRESS.sub(shown, text)
        if text == before:
            break
    return text


def trimmed(address: str) -> str:
    """Return the address without trailing sentence punctuation."""
    while address and address[-1] in TRAILING:
        if address[-1] == ")" and address.count("(") >= address.count(")"):
            break
        address = address[:-1]
    return address


def _canonical(address: str) -> str:
    """Return the address without the web scheme, an empty fragment and a trailing slash, with a lower-case host.

    Everything else is compared letter by letter.
    """
    address = address.strip().replace("&amp;", "&")
    if address[:7].lower() == "mailto:":
        return address[7:].lower()
    web = _WEB.match(address)
    rest = address[web.end() :] if web else address
    host = re.match(r"[^/?#]*", rest)
    end = host.end() if host else 0
    return (rest[:end].lower() + rest[end:]).removesuffix("#").rstrip("/")
