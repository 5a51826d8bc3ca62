"""Tells what the sender of an e-mail wrote from what is quoted, and from the signature."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NamedTuple

from mailparser_reply import EmailReplyParser
from mailparser_reply.constants import MAIL_LANGUAGES

MAX_CHARS = 200_000
"""Characters of a mail up to which replies are recognized. A longer text is taken as the sender's own."""
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


@dataclass(slots=True)
class Known:
    """Lines that were read in the same mailbox, so that a quotation of them is not read twice."""

    _lines: set[str] = field(default_factory=set)

    def unknown(self, text: str) -> str:
        """Return the lines that were not read before. Lines without words separate, so they stay."""
        lines = [line for line in text.split("\n") if _folded(line) not in self._lines or not _folded(line)]
        return "\n".join(lines).strip("\n")

    def add(self, text: str) -> None:
        """Remember the lines of a text."""
        self._lines.update(_folded(line) for line in text.split("\n"))


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
