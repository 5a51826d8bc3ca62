"""Frames the data in a prompt with a random boundary, and removes imitations of frames from the data. Pure.

Data can neither close its own frame nor open another: it does not know the boundary. Imitations are removed as well,
because a model may not compare boundaries carefully.
"""

from __future__ import annotations

import re
import secrets
import unicodedata
from functools import lru_cache

_LETTERS = (
    "\u0430\u03b1\u0251\u0435\u03b5\u04bd\u043e\u03bf\u0585\u0440\u03c1\u0455\ua731\u0456\u03b9\u0131"
    "\u0269\u04cf\u217c\u01c0\u043c\u043d\u0578\u0442\u03c4\u0433\u0280\u03c5\u057d\u028b\u0261\u0581"
    "\u0443\u04af\u03bd\u0475\u028c\u0432\u0184\u0493\u0192\u1d00\u1d07\u1d0f\u1d18\u0262\u026a\u029f"
    "\u1d0d\u0274\u1d1b\u1d1c\u028f\u1d20"
)
_ASCII = "aaaeeeoooppssiiiilllmnnttrruuuggyyvvvbbffaeopgilmntuyv"
"""Cyrillic, Greek, Armenian and small-capital letters, and the letters they look like."""
_LOOK_ALIKE = {
    **dict.fromkeys("<\uff1c\ufe64\u2039\u3008\u2329\u27e8\u276e\u276c\u1438\u02c2\u227a\u29fc", "<"),
    **dict.fromkeys(">\uff1e\ufe65\u203a\u3009\u232a\u27e9\u276f\u276d\u1433\u02c3\u227b\u29fd", ">"),
    **dict.fromkeys("/\uff0f\u2044\u2215\u29f8\u2571\\\uff3c", "/"),
    **dict(zip(_LETTERS, _ASCII, strict=True)),
}
_OPEN = r"(?:<|&lt;?|&#0*60;?|&#x0*3c;?|/u003c|/x3c|%3c)"
_CLOSE = r"(?:>|&gt;?|&#0*62;?|&#x0*3e;?|/u003e|/x3e|%3e)"
_NAMES = ("passages", "passage", "notes", "note", "earlier", "messages", "summary", "above", "files", "file")
_NAME = "|".join(r"\s*".join(name) for name in _NAMES)
_FRAME = re.compile(rf"{_OPEN}\s*/*\s*(?:{_NAME})(?![a-z0-9_])(?:[^<>\n]{{0,200}}?{_CLOSE})?")
_HEADER = re.compile(r"(?m)^([ \t]*)\[(\d{1,3})\](?=[ \t]*\S)")
_OPENERS = {
    ord(one): " " for one in ("&", "%", "\\", "/", *(key for key, shown in _LOOK_ALIKE.items() if shown in "</"))
}
_PASSES = 20
LABEL_CHARS = 200


def new_boundary() -> str:
    """Return a boundary that the content of a prompt cannot know: ten random hexadecimal digits."""
    return secrets.token_hex(5)


def framed(name: str, boundary: str, content: str, attributes: str = "") -> str:
    """Return the content between two tags that carry the boundary."""
    return f"<{name} {boundary}{attributes}>\n{content}\n</{name} {boundary}>"


def unframed(text: str) -> str:
    """Return the text without anything that looks like a tag of a frame, also in disguise.

    Removing a tag may join the pieces of another one, so this repeats until nothing changes. A text with too many of
    them nested loses every character that could begin a tag.
    """
    for _ in range(_PASSES):
        spans = _frames(text)
        if not spans:
            return text
        ends = [0, *(end for _, end in spans)]
        starts = [*(start for start, _ in spans), len(text)]
        text = "".join(text[end:start] for end, start in zip(ends, starts, strict=True))
    return text.translate(_OPENERS)


def label(text: str) -> str:
    """Return a name, a title or a heading on one line, without tags of frames, quotes and brackets around tags."""
    while True:
        shown = " ".join(re.sub(r'[<>"]', "", unframed(text)).split())
        if shown == text:
            return shown[:LABEL_CHARS].rstrip()
        text = shown


def numbered_text(text: str) -> str:
    """Return the text of a passage, in which no line begins like the header of another passage."""
    return _HEADER.sub(r"\1(\2)", unframed(text))


def _frames(text: str) -> list[tuple[int, int]]:
    """Return the spans of tags, found in a plain form of the text: lower case, no invisible characters, no disguise."""
    plain = text.translate({ord(character): _plain(character) for character in set(text)})
    if not _FRAME.search(plain):
        return []
    letters = [(letter, place) for place, character in enumerate(text) for letter in _plain(character)]
    return [(letters[found.start()][1], letters[found.end() - 1][1] + 1) for found in _FRAME.finditer(plain)]


@lru_cache(maxsize=4096)
def _plain(character: str) -> str:
    """Return what a character looks like in ASCII, as far as tags need it; empty for an invisible one."""
    if character in _LOOK_ALIKE:
        return _LOOK_ALIKE[character]
    shown = "".join(
        _LOOK_ALIKE.get(part, part)
        for part in unicodedata.normalize("NFKD", character).casefold()
        if unicodedata.category(part) not in ("Mn", "Me", "Cf", "Cc") or part in "\n\t"
    )
    return "" if unicodedata.category(character) in ("Cf", "Mn", "Me") else shown
