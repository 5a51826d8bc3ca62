"""Sanitizes the model's Markdown before display: links off the allow-list, images, HTML and mentions. Does no I/O.

An attacker may control what the model writes. So a link is only clickable if its address stands in the question or in a
passage; images never load and mentions never notify. The output is the same for every platform. Platforms parse
Markdown differently: Discord has no tilde fences, ends a fence at the first three backticks, and lets a code span run
over several lines. The output is written so that all of them treat the same text as code.

This filter reads Markdown line by line. A CommonMark parser, the one of the web page, then checks its output. Lines in
which the parser still finds an address that is not allowed are defanged: they lose all markup.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache

from bot.engine.display.urls import ADDRESS, defanged, permitted, trimmed, urls_in
from bot.engine.markdown import commonmark
from bot.engine.markdown.blocks import Fence, fence_runs
from bot.engine.markdown.inline import code_spans, scanned

__all__ = ["plain", "sanitize", "urls_in", "visible"]

_INVISIBLE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f"
    "\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0d\ufeff\uffa0\ufff0-\ufffb\U000e0000-\U000e0fff]"
)
_JOINERS = re.compile("([\u200c\u200d])[\u200c\u200d]*")
_MENTION = re.compile(
    r"<@[!&]?([A-Z0-9]+(?:\|[^<>\n]*)?)>|<(#[A-Z0-9]+(?:\|[^<>\n]*)?)>"
    r"|<!((?i:channel|here|everyone|group|subteam\^|date\^)[^<>\n]*)>|@((?i:everyone|here|channel))"
)
_MENTION_START = re.compile(r"<(?=@|#[A-Z0-9]|!(?:channel|here|everyone|group|subteam|date))", re.IGNORECASE)
_TARGET = re.compile(
    r"\(\s*(?:<([^<>\n]*)>|((?:[^\s()\\]|\\.|\([^\s()]*\))*))(?:\s+(?:\"[^\"]*\"|'[^']*'|\([^()]*\)))?\s*\)"
)
_DEFINITION = re.compile(r"([ >]*(?:(?:[-*+]|\d{1,9}[.)]) +)*)\[([^\[\]]+)\]:\s*<?([^\s<>]*)>?(.*)$")
_ANGLED = re.compile(r"<([^<>]*)>")
_TAG_START = re.compile(r"<(?=[A-Za-z/!?$%@#:&])")
_ESCAPED_MARK = re.compile(r"(?<=[a-zA-Z0-9])\\?:\\?/\\?/")
_ESCAPED_TICK = re.compile(r"(?<!\\)((?:\\\\)*)\\`")
"""An escaped backtick, which Slack may still pair with the next one."""
_STRAY = re.compile(r"((?<!\\)(?:\\\\)*)`")
_TOKEN = re.compile(r"\\[^\w\s\x00]|!?\[|<")
_PLACEHOLDER = re.compile(r"\x00(\d+)\x00")
_ENDS = re.compile(r"""$|\s|[*~]+(?:[^\w.@-]|$)|[|".,;:!?)\]}'*_~’”»]+(?:\s|$)""")
"""What may follow an allowed address, so that a client ends the link there."""
_LABEL_CHARS = 1000
_NESTED = 2
_QUOTED = re.compile(r" *> ")
_QUOTE_MARK = re.compile(r"^( *)>(?! )")
"""A quote mark without the space that Discord requires."""
_INFO = re.compile(r"[\w+#-]*")
"""An info string that no platform reads as anything but the name of a language."""
_PARSED = re.compile(r"\]\s*[(:]|!\[|<[a-zA-Z]|\\[:/.@&]|&(?:#|[a-zA-Z]+;)")
"""Marks without which a CommonMark parser finds no link, and no address that is not written out, in a text."""
_MARKUP = str.maketrans({"`": "'", "<": "＜", "~": "∼", "\\": "＼"})
"""Characters without markup in place of those that begin code, tags, fences and escapes."""
_PASSES = 6
"""Passes after which a text that still changes loses its punctuation. A second pass changes few texts, a third none
that people write."""


def sanitize(text: str, allowed: frozenset[str]) -> str:
    """Return the text sanitized for display. Idempotent; ``allowed`` comes from ``urls_in``.

    A link to another address becomes its label followed by the address as code. A bare address becomes code, an image
    its alternative text, HTML visible text. Mentions do not notify, invisible characters are removed, an open fence is
    closed. Code stays as it is except for mentions, and except for fences that platforms parse differently: if the text
    has an address that is not allowed, such a fence is rewritten in a form that all platforms parse alike.
    """
    text = visible(text)
    for _ in range(_PASSES):
        shown = _checked(_by_line(text, allowed), allowed)
        if shown == text:
            return text
        text = shown
    return _without_punctuation(text)


def plain(text: str, allowed: frozenset[str] = frozenset()) -> str:
    """Return text for a place that links addresses but cannot show code.

    Addresses not in ``allowed`` are defanged, mentions are muted, and invisible characters are removed.

    For example, ``https://a.example`` becomes ``https[:]//a[.]example``.
    """
    return defanged(visible(text), allowed)


def visible(text: str) -> str:
    """Return the text with mentions muted and without invisible, control and bidirectional characters.

    Joiners stay where scripts need them.
    """
    return _MENTION_START.sub("＜", _MENTION.sub(_mute, _cleaned(text)))


def _by_line(text: str, allowed: frozenset[str]) -> str:
    """Sanitize the lines outside fences, and rewrite fences that platforms may parse differently.

    Discord reads a link from its first bracket on, so a link that begins before code may end in it.
    """
    pieces = _pieces(text)
    blocks = [piece for piece in pieces if isinstance(piece, _Block)]
    ambiguous = "](" in text or not all(block.unambiguous for block in blocks)
    strict = ambiguous and _has_other_address(text, allowed)
    lines: list[str] = []
    bracket = False
    for piece in pieces:
        if isinstance(piece, _Block):
            code = piece.rewritten() if strict and not piece.unambiguous else piece.literal()
            lines.extend(line.replace("](", "] (") if strict and bracket else line for line in code)
        else:
            bracket = bracket or "[" in piece
            lines.append(_safe_line(piece, allowed, strict))
    return "\n".join(lines)


def _checked(text: str, allowed: frozenset[str]) -> str:
    """Return the text with every line defanged in which the page's parser finds an address that is not allowed."""
    for _ in range(_PASSES):
        lines = _wrong_lines(text, allowed)
        if not lines:
            return text
        text = "\n".join(
            _defanged(line, allowed) if number in lines else line for number, line in enumerate(text.split("\n"))
        )
    return _without_punctuation(text)


@lru_cache(maxsize=256)
def _wrong_lines(text: str, allowed: frozenset[str]) -> frozenset[int]:
    """Return the numbers of the lines that hold an address that is not allowed, as a link or as text outside code."""
    if not _PARSED.search(text) and not _has_other_address(text, allowed):
        return frozenset()
    targets, words = commonmark.targets_and_words(text)
    wrong = [one for one in targets if not permitted(one.text, allowed)]
    wrong += [one for one in words if _has_other_address(one.text, allowed, cut="*_~")]
    return frozenset(number for one in wrong for number in range(one.start, one.end))


def _has_other_address(text: str, allowed: frozenset[str], cut: str = "") -> bool:
    """Return whether the text holds an address that is not allowed. ``cut``: marks at which an address may end early.

    A parser ends a piece of text at a mark of emphasis, also inside an address.
    """
    for found in ADDRESS.finditer(text):
        address = trimmed(found.group())
        if address and address.lower() != "www" and not permitted(address, allowed, cut):
            return True
    return False


def _defanged(line: str, allowed: frozenset[str]) -> str:
    """Return a line as text without markup and without addresses that are not allowed."""
    line = defanged(line.translate(_MARKUP), allowed)
    return re.sub(r"\](?=[(:\[])", "] ", line).replace("![", "! [")


def _without_punctuation(text: str) -> str:
    """Return the words of a text, without anything that could be markup or an address."""
    return re.sub(r"[^\w\s]|_", " ", text)


@lru_cache(maxsize=4096)
def _safe_line(line: str, allowed: frozenset[str], strict: bool) -> str:
    """Sanitize a line outside fences. Cached, because each edit sanitizes the whole draft and only its end is new."""
    shown = _Line(allowed, strict).sanitize(line)
    return _ESCAPED_TICK.sub(r"\1ˋ", shown) if "\\`" in shown and _has_other_address(shown, allowed) else shown


def _cleaned(text: str) -> str:
    """Return the text without invisible characters; joiners stay between letters of scripts that need them."""
    text = _INVISIBLE.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))

    def joined(found: re.Match[str]) -> str:
        around = text[: found.start()][-1:] + text[found.end() :][:1]
        return found.group(1) if len(around) == 2 and not around.isspace() and min(around) > "\x7f" else ""

    return _JOINERS.sub(joined, text)


def _mute(found: re.Match[str]) -> str:
    """Return a mention with a full-width sign, which no platform turns into a notification."""
    person, channel, group, word = found.groups()
    return "＃" + channel[1:] if channel else "＠" + (person or group or word)


# --- fences


@dataclass(slots=True)
class _Block:
    """A code fence with its lines; ``closing`` is None if the text leaves it open."""

    fence: Fence
    opening: str
    body: list[str] = field(default_factory=list)
    closing: str | None = None

    @property
    def unambiguous(self) -> bool:
        """Whether every platform treats exactly these lines as code."""
        fence = self.fence
        return (
            fence.marker == "```"
            and _INFO.fullmatch(fence.info) is not None
            and not any("```" in line for line in self.body)
            and any(line.strip(" >") for line in self.body)
            and (self.closing is None or fence_runs(self.closing, fence) == fence.size)
            and all(_QUOTED.match(line) for line in self._lines() if fence.quoted)
            and (fence.quoted or all(not line.strip() or line.startswith(fence.indent) for line in self.body))
        )

    def _lines(self) -> list[str]:
        return [self.opening, *self.body, *([] if self.closing is None else [self.closing])]

    def literal(self) -> list[str]:
        """Return the lines as they stand, with the fence closed."""
        return [self.opening, *self.body, self.fence.closer if self.closing is None else self.closing]

    def rewritten(self) -> list[str]:
        """Return the lines in a form that all platforms parse alike.

        The fence has three backticks and none inside; the body is not empty and indented like the fence.
        """
        indent = self.fence.indent
        body = [re.sub("`(?=``)", "` ", line) for line in self.body]
        if self.fence.quoted:
            body = [_QUOTE_MARK.sub(r"\1> ", line) for line in body]
            indent = _QUOTE_MARK.sub(r"\1> ", indent)
        else:
            body = [line if not line.strip() or line.startswith(indent) else indent + line for line in body]
        if not any(line.strip(" >") for line in body):
            body = [indent + "."]
        marker = "```"
        opening = self.opening[: -len(self.opening.lstrip(" >-*+.)0123456789"))] + marker
        info = _INFO.match(self.fence.info)
        opening = _QUOTE_MARK.sub(r"\1> ", opening) if self.fence.quoted else opening
        return [opening + (info.group() if info else ""), *body, indent + marker]


def _pieces(text: str) -> list[str | _Block]:
    """Return the lines outside fences, and the fences, in order."""
    pieces: list[str | _Block] = []
    block: _Block | None = None
    for _, line, kind, state in scanned(text):
        if kind == "open" and state.fence:
            block = _Block(state.fence, line)
            pieces.append(block)
        elif block and kind == "body":
            block.body.append(line)
        elif block and kind == "close":
            block.closing, block = line, None
        else:
            block = None
            pieces.append(line)
    return pieces


# --- lines


class _Line:
    """Sanitizer of one line outside fences. A safe piece is replaced by a placeholder, so later steps do not change it.

    A placeholder is the piece's number between NUL characters, which the text cannot contain.
    """

    def __init__(self, allowed: frozenset[str], strict: bool = False) -> None:
        self._allowed = allowed
        self._strict = strict
        self._pieces: list[str] = []

    def sanitize(self, line: str) -> str:
        """Return the line sanitized; a line that could define a link reference is escaped."""
        masked = self._without_code(line)
        definition = _DEFINITION.match(masked)
        if definition:
            lead, label, target, title = definition.groups()
            if not title.strip() and permitted(target, self._allowed):
                return self._restored(f"{lead}[{self._without_link_syntax(self._inline(label))}]: {target}")
            masked = lead + "\\" + masked[len(lead) :]
        shown = self._restored(self._without_link_syntax(self._inline(masked)))
        definition = _DEFINITION.match(shown)
        return definition.group(1) + "\\" + shown[definition.end(1) :] if definition else shown

    def _without_code(self, line: str) -> str:
        """Replace code spans by placeholders and escape backticks that pair with nothing."""
        spans, stray = code_spans(line)
        has_other_address = _has_other_address(line, self._allowed)
        marks = sorted(
            [(span.start, span.end, span.size) for span in spans] + [(start, end, 0) for start, end in stray]
        )
        out, position = "", 0
        for start, end, size in marks:
            raw = line[start:end]
            code = self._unambiguous_code(raw, size, has_other_address) if size else None
            out += line[position:start] + (self._protected(code) if code else _STRAY.sub(r"\1\\`", raw))
            position = end
        return out + line[position:]

    def _unambiguous_code(self, raw: str, size: int, has_other_address: bool) -> str | None:
        """Return the code span with one or two backticks on each side; None if a platform may not parse it as code.

        Slack pairs single backticks, so a span that holds one would shift the pairs of the line after it.
        """
        content = raw[size:-size]
        runs = {len(run) for run in re.findall("`+", content)}
        if any(run > 2 for run in runs) or runs == {1, 2}:
            return None
        if has_other_address and (runs or ("|" in content and _has_other_address(content, self._allowed))):
            return None
        if self._strict and "](" in content:
            return None
        marker = "``" if 1 in runs else "`"
        return marker + content + marker

    def _inline(self, text: str) -> str:
        """Sanitize links, images, tags and bare addresses."""
        text = _ESCAPED_MARK.sub("://", text)
        out, position = "", 0
        closing = _brackets(text)
        while token := _TOKEN.search(text, position):
            out += self._bare(text[position : token.start()], text[token.start()])
            position = token.end()
            if token.group()[0] == "\\":
                out += token.group()
                continue
            if token.group() == "<":
                piece, end = self._angle_bracket(text, position)
            else:
                piece, end = self._link(text, position, closing.get(position))
            out += piece if end == position else _spaced(out, piece, text[end:])
            position = end
        return out + self._bare(text[position:], "")

    def _link(self, text: str, start: int, end: int | None) -> tuple[str, int]:
        """Return what replaces a bracket that opens before ``start`` and closes at ``end``, and where to read on."""
        image = text[start - 2 : start] == "!["
        if end is None or end - start > _LABEL_CHARS or text.count("](", start, end) > _NESTED:
            return ("! [" if image else "["), start
        label = text[start:end]
        target = _TARGET.match(text, end + 1)
        if target:
            return self._linked(label, target, image), target.end()
        if image and (reference := re.compile(r"\[[^\[\]]*\]").match(text, end + 1)):
            return self._inline(label), reference.end()
        return ("! [" if image else "["), start

    def _linked(self, label: str, target: re.Match[str], image: bool) -> str:
        shown = self._without_link_syntax(self._inline(label))
        if image:
            return shown
        address = self._restored(target.group(1) or target.group(2) or "").strip()
        if permitted(address, self._allowed):
            target_text = f"<{address}>" if re.search(r"[()\s]", address) else address
            # Discord ends a label at an escaped bracket.
            shown = shown.replace("\\[", "(").replace("\\]", ")")
            return self._protected(f"[{shown}]({target_text})")
        if not address:
            return shown
        return self._code(address) if label.strip() == address else f"{shown} ({self._code(address)})"

    def _angle_bracket(self, text: str, start: int) -> tuple[str, int]:
        """Return what replaces an angle bracket that opens before ``start``, and where to read on."""
        angled = _ANGLED.match(text, start - 1)
        inner = angled.group(1) if angled else ""
        if angled and re.fullmatch(r"br\s*/?", inner, re.IGNORECASE):
            return " ", angled.end()
        address, _, label = inner.partition("|")
        if angled and (ADDRESS.fullmatch(address) or re.match(r"[a-zA-Z][a-zA-Z0-9+.-]+:\S", address)):
            if permitted(address, self._allowed) and not re.search(r"[\s\\\x00]", address):
                return self._protected(f"<{address}>") + (f" ({self._inline(label)})" if label else ""), angled.end()
            shown = self._code(self._restored(address))
            return (f"{self._inline(label)} ({shown})" if label else shown), angled.end()
        if angled and re.match(r"[A-Za-z/?]|!--", inner) and not re.search(r"[\x00\\|]", inner):
            return self._code(f"<{inner}>"), angled.end()
        return ("＜" if _TAG_START.match(text, start - 1) else "<"), start

    def _bare(self, text: str, follower: str) -> str:
        """Turn bare addresses that are not allowed into code; ``follower`` is the character after the text."""

        def shown(found: re.Match[str]) -> str:
            address = trimmed(found.group())
            ends = _ENDS.match(text[found.end() :] + follower)
            if not address or address.lower() == "www":
                return found.group()
            if ends and permitted(address, self._allowed):
                return (" " if text[: found.start()].endswith("\\") else "") + found.group()
            return self._code(address) + found.group()[len(address) :]

        return ADDRESS.sub(shown, text)

    def _without_link_syntax(self, text: str) -> str:
        """Break up whatever a platform could still parse as a link, an image or a link reference."""
        text = text.replace("](", "] (").replace("![", "! [")
        return re.sub(r"^([^\[\]]*\]):", r"\1 :", text)

    def _code(self, text: str) -> str:
        flat = " ".join(text.split()).replace("`", "%60").replace("|", "%7C")
        return self._protected(f"`{flat}`")

    def _protected(self, text: str) -> str:
        """Return the placeholder of a safe piece."""
        self._pieces.append(text)
        return f"\x00{len(self._pieces) - 1}\x00"

    def _restored(self, text: str) -> str:
        """Put the pieces back in place of their placeholders, spaced where they would merge with the text before."""
        out, position = "", 0
        for found in _PLACEHOLDER.finditer(text):
            out += text[position : found.start()]
            piece = self._restored(self._pieces[int(found.group(1))])
            slashes = len(out) - len(out.rstrip("\\"))
            if piece and (slashes % 2 or out[-1:] + piece[0] in ("``", "![")):
                out += " "
            out += piece
            position = found.end()
        return out + text[position:]


def _spaced(before: str, piece: str, after: str) -> str:
    """Return the text of a former link, with spaces where it would form one word with its neighbours.

    For example, ``www`` followed by a label ``.example.org`` must not become an address.
    """
    if piece[:1] in ("\x00", " "):
        return piece
    front = " " if before[-1:].strip(" (*_~\"'") else ""
    back = "" if re.match(r"[.,;:!?)*_~\"']*(?:\s|$)", after) else " "
    return front + piece + back if piece else " "


def _brackets(text: str) -> dict[int, int]:
    """Return where each bracket closes, keyed by the position after its opening; escaped brackets do not count."""
    opened: list[int] = []
    closing: dict[int, int] = {}
    for found in re.finditer(r"\\[^\w\s\x00]|[\[\]]", text):
        if found.group() == "[":
            opened.append(found.end())
        elif found.group() == "]" and opened:
            closing[opened.pop()] = found.start()
    return closing
