"""Decodes bytes to text: a byte order mark first, then the charset that server, mail or page state, then a guess.

Names of charsets mean what the encoding standard says: ``iso-8859-1`` is read as windows-1252.
https://encoding.spec.whatwg.org/#names-and-labels
"""

from __future__ import annotations

import codecs
import re
from types import MappingProxyType

from knowledge.errors import ParseError

MAX_UNREADABLE = 0.005
"""Share of characters that may be unreadable in a stated charset. With more, the statement is wrong."""
MIN_UTF8 = 8
"""Characters beyond ASCII that prove UTF-8. One of seven characters in GB2312 looks like it, eight never do."""
HEAD_BYTES = 4096
"""The beginning of a page in which it may state its charset."""
_BOMS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))
_META = re.compile(rb"<meta[^>]*?charset\s*=\s*[\"']?\s*([A-Za-z0-9_.:-]+)", re.IGNORECASE)
_XML = re.compile(rb"\A\s*<\?xml[^>]*?encoding\s*=\s*[\"']([A-Za-z0-9_.:-]+)", re.IGNORECASE)
_STANDARD = MappingProxyType(
    {
        "ascii": "cp1252",
        "iso8859-1": "cp1252",
        "iso8859-9": "cp1254",
        "iso8859-11": "cp874",
        "tis-620": "cp874",
        "gb2312": "gb18030",
        "gbk": "gb18030",
        "shift_jis": "cp932",
        "euc_kr": "cp949",
        "big5": "big5hkscs",
    }
)
_LABELS = MappingProxyType({"x-sjis": "cp932", "x-gbk": "gb18030", "x-cp1251": "cp1251", "x-cp1252": "cp1252"})


def decode(data: bytes, charset: str = "") -> str:
    """Decode text. ``charset`` is what the server or the mail states, if anything. Raises ParseError."""
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding, "replace")
    stated = _as_stated(data, charset)
    if stated is not None:
        return stated
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return _guessed(data)


def decode_known(data: bytes, charset: str) -> str:
    """Decode text whose charset is known, as ``decode`` does. Bytes that no charset fits are replaced, not refused."""
    try:
        return decode(data, charset)
    except ParseError:
        return data.decode(codec_of(charset) or "cp1252", "replace")


def decode_page(data: bytes, charset: str = "") -> str:
    """Decode an HTML page, which may state its charset itself. Raises ParseError."""
    if charset and codec_of(charset) and _as_stated(data, charset) is not None:
        return decode(data, charset)
    found = _XML.search(data[:HEAD_BYTES]) or _META.search(data[:HEAD_BYTES])
    stated = found.group(1).decode() if found else ""
    if found and codec_of(stated) != "utf-8" and (saved := _as_saved_anew(data)):
        return saved
    # A page whose statement can be read as ASCII is no UTF-16.
    return decode(data, "utf-8" if stated.lower().startswith("utf-16") else stated)


def _as_saved_anew(data: bytes) -> str:
    """Decode a page as UTF-8 if no other charset can be meant; empty if one can.

    Browsers and other programs save pages as UTF-8 and leave the statement of the old charset in them.
    """
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return ""
    return text if sum(char > "\x7f" for char in text) >= MIN_UTF8 else ""


def codec_of(charset: str) -> str:
    """Return the name of Python's codec for a charset; empty if there is none that decodes text."""
    label = charset.strip().strip("\"'").lower()
    if label in _LABELS:
        return _LABELS[label]
    # Python knows the code pages of Windows that are no others by their numbers only.
    for name in (label, label.replace("windows-", "cp")):
        try:
            found = codecs.lookup(name).name
            b"".decode(found)
        except (LookupError, ValueError):
            continue
        return _STANDARD.get(found, found)
    return ""


def _as_stated(data: bytes, charset: str) -> str | None:
    """Decode in a stated charset; None if it is unknown or the bytes say otherwise."""
    codec = codec_of(charset) if charset else ""
    if not codec:
        return None
    text = data.decode(codec, "replace")
    return text if text.count("\ufffd") <= MAX_UNREADABLE * len(text) else None


def _guessed(data: bytes) -> str:
    """Decode in the charset that fits best. Of charsets that fit alike, the most common one is chosen."""
    from charset_normalizer import from_bytes

    best = from_bytes(data).best()
    if best is None:
        raise ParseError("its text encoding is unknown. Save it as UTF-8")
    text = str(best)
    if "cp1252" in best.could_be_from_charset:
        return text
    western = data.decode("cp1252", "replace")
    return western if _is_western(western) else text


_WESTERN = re.compile(r"[äöüßñáéíóúàèìòùâêîôûçæøåÄÖÜÑÁÉÍÓÚÀÈÇÆØÅœ¿¡€£°§«»„“”‘’–—…·º ]")


def _is_western(text: str) -> bool:
    """Return whether all letters beyond ASCII are common ones of Western European languages, inside words of ASCII."""
    beyond = [char for char in text if char > "\x7f"]
    return bool(beyond) and all(map(_WESTERN.match, beyond)) and len(beyond) < 0.25 * len(text)
