"""Tells what the sender of an e-mail wrote from what is quoted, and from the signature."""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

from mailparser_reply import EmailReplyParser
from mailparser_reply.constants import MAIL_LANGUAGES

from knowledge.parsing.document_builder import ParsedDocument
from knowledge.types.documents import Block

MAX_CHARS = 200_000
"""Characters of a mail up to which replies are recognized. A longer text is taken as the sender's own."""
RECENT_TEXTS = 40
"""Texts of earlier mails in which a quotation is found although its lines break elsewhere."""
KNOWN_CHARS = 40
"""Shorter pieces are taken for known only if they are a whole line."""
_QUOTE_MARK = re.compile(r"^[ \t]*>[> \t]*", re.M)
_INTRODUCTION = re.compile(r"\n[^\n>]{0,200}:[ \t]*\n+(?=[ \t]*>)")
"""The line above a quotation, such as ``On Tuesday Ann wrote:``."""
_SIGNATURE = re.compile(r"^--[ \t]*\n(?:[^\n]*\n?){0,12}\Z", re.M)
_PARSER = EmailReplyParser(languages=list(MAIL_LANGUAGES))


class Reply(NamedTuple):
    """A mail in parts. Each is empty if the mail has none of it."""

    own: str
    quoted: str
    """Quoted mails with the lines that introduce them, without quotation marks."""
    signature: str


class ReplyBlocks(NamedTuple):
    """The blocks of an HTML mail by who wrote them."""

    own: tuple[Block, ...]
    quoted: tuple[Block, ...]
    """Quoted mails with the lines that introduce them."""
    signature: tuple[Block, ...]


@dataclass(slots=True)
class Known:
    """What was read of earlier mails, so that a quotation is not read twice, also if its lines break elsewhere."""

    _lines: set[str] = field(default_factory=set)
    _recent: deque[str] = field(default_factory=lambda: deque(maxlen=RECENT_TEXTS))

    def unknown(self, text: str) -> str:
        """Return the lines that were not read before. Lines without words separate, so they stay."""
        lines = text.split("\n")
        folded = [_folded(line) for line in lines]
        kept: list[str] = []
        place = 0
        while place < len(lines):
            end = self._end_of_known(folded, place)
            if end == place:
                kept.append(lines[place])
            place = max(end, place + 1)
        return "\n".join(kept).strip("\n")

    def add(self, text: str) -> None:
        """Remember a text."""
        folded = [_folded(line) for line in text.split("\n")]
        self._lines.update(folded)
        self._recent.append("".join(folded))

    def _end_of_known(self, folded: list[str], place: int) -> int:
        """Return the place behind the known lines that begin at ``place``; ``place`` itself if its line is unknown."""
        run, end, having = "", place, list(self._recent)
        for line in folded[place:] if folded[place] else ():
            having = [text for text in having if run + line in text]
            if not having:
                break
            run += line
            end += 1
        if len(run) >= KNOWN_CHARS:
            return end
        return place + 1 if folded[place] and folded[place] in self._lines else place


def split_reply(text: str) -> Reply:
    """Split the plain text of a mail."""
    if len(text) > MAX_CHARS:
        return Reply(text, "", "")
    replies = _PARSER.read(text).replies
    first = replies[0].content if replies else text
    rest = "\n\n".join(reply.content for reply in replies[1:])
    own, marked = _without_marked(f"\n{first}\n")
    own, signature = _without_signature(own)
    if not own.strip():
        return Reply(_QUOTE_MARK.sub("", text).strip(), "", "")  # a mail that only forwards another one
    rest, last = _without_signature(rest)
    quoted = _QUOTE_MARK.sub("", "\n\n".join(filter(None, (marked, rest))))
    return Reply(own.strip("\n"), quoted.strip("\n"), "\n".join(filter(None, (signature, last))))


def split_blocks(parsed: ParsedDocument) -> ReplyBlocks:
    """Split the blocks of an HTML mail: quotations in it, and what stands below the headers of an earlier mail."""
    texts = [parsed.text[block.start : block.end] for block in parsed.blocks]
    left = _characters_before_replies(parsed.text)
    own: list[Block] = []
    quoted: list[Block] = []
    signature: list[Block] = []
    for place, (block, text) in enumerate(zip(parsed.blocks, texts, strict=True)):
        left -= len("".join(text.split()))
        before_quote = text.rstrip().endswith(":") and parsed.blocks[place + 1 : place + 2]
        if left < 0 or block.kind == "quote" or (before_quote and before_quote[0].kind == "quote"):
            quoted.append(block)
        elif _SIGNATURE.fullmatch(text):
            signature.append(block)
        else:
            own.append(block)
    if not own:  # a mail that only forwards another one
        return ReplyBlocks(parsed.blocks, (), ())
    return ReplyBlocks(tuple(own), tuple(quoted), tuple(signature))


def _characters_before_replies(text: str) -> int:
    """Return the number of characters, without white space, above the headers of the first earlier mail."""
    if len(text) > MAX_CHARS:
        return len(text)
    replies = _PARSER.read(text).replies
    return len("".join((replies[0].content if replies else text).split()))


def _without_marked(text: str) -> tuple[str, str]:
    """Take out the lines that begin with ``>``, and the line that introduces them."""
    text = _INTRODUCTION.sub(
        lambda found: "\n" + "\n".join(f"> {s}" for s in found.group().split("\n") if s) + "\n", text
    )
    lines = text.split("\n")
    marked = [line for line in lines if line.lstrip().startswith(">")]
    return "\n".join(line for line in lines if not line.lstrip().startswith(">")), "\n".join(marked)


def _without_signature(text: str) -> tuple[str, str]:
    found = _SIGNATURE.search(text)
    if found is None:
        return text, ""
    return text[: found.start()], text[found.start() :].partition("\n")[2].strip()


def _folded(line: str) -> str:
    return "".join(_QUOTE_MARK.sub("", line).split()).casefold()
