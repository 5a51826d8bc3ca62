"""Sanitizes a line of Markdown outside fences: links, images, tags, code spans and bare addresses. Does no I/O."""

from __future__ import annotations

import re

from bot.engine.display.urls import ADDRESS, TRAILING, has_other_address, permitted, trimmed
from bot.engine.markdown.inline import code_spans

_TARGET = re.compile(
    r"\(\s*(?:<([^<>\n]*)>|((?:[^\s()\\]|\\.|\([^\s()]*\))*))(?:\s+(?:\"[^\"]*\"|'[^']*'|\([^()]*\)))?\s*\)"
)
_DEFINITION = re.compile(r"([ >]*(?:(?:[-*+]|\d{1,9}[.)]) +)*)\[([^\[\]]+)\]:\s*<?([^\s<>]*)>?(.*)$")
_ANGLED = re.compile(r"<([^<>]*)>")
_TAG_START = re.compile(r"<(?=[A-Za-z/!?$%@#:&])")
_ESCAPED_MARK = re.compile(r"(?<=[a-zA-Z0-9])\\?:\\?/\\?/")
_STRAY = re.compile(r"((?<!\\)(?:\\\\)*)`")
_TOKEN = re.compile(r"\\[^\w\s\x00]|!?\[|<")
_PLACEHOLDER = re.compile(r"\x00(\d+)\x00")
_ENDS = re.compile(rf"$|\s|[*~]+(?:[^\w.@-]|$)|[|{re.escape(TRAILING)}]+(?:\s|$)")
"""What may follow an allowed address, so that a client ends the link there."""
_LABEL_CHARS = 1000
_NESTED = 2


class LineFilter:
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
        others = has_other_address(line, self._allowed)
        marks = sorted(
            [(span.start, span.end, span.size) for span in spans] + [(start, end, 0) for start, end in stray]
        )
        out, position = "", 0
        for start, end, size in marks:
            raw = line[start:end]
            code = self._unambiguous_code(raw, size, others) if size else None
            out += line[position:start] + (self._protected(code) if code else _STRAY.sub(r"\1\\`", raw))
            position = end
        return out + line[position:]

    def _unambiguous_code(self, raw: str, size: int, others: bool) -> str | None:
        """Return the code span with one or two backticks on each side; None if a platform may not parse it as code.

        Slack pairs single backticks, so a span that holds one would shift the pairs of the line after it.
        """
        content = raw[size:-size]
        runs = {len(run) for run in re.findall("`+", content)}
        if any(run > 2 for run in runs) or runs == {1, 2}:
            return None
        if others and (runs or ("|" in content and has_other_address(content, self._allowed))):
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
