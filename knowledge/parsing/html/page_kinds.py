"""Recognizes pages that hold no content: sign-in pages, missing pages, redirects and pages that only scripts fill.

The form of a page decides, in any language: how little it shows, its forms, scripts and status. Words decide only where
the form says nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from knowledge.errors import ParseError
from knowledge.parsing.html.html_blocks import PageBlock
from knowledge.parsing.html.page_signals import PageHints
from knowledge.text import word_splitter

FEW_WORDS = 120
"""A page with more words than this holds content, whatever else is on it."""
NO_WORDS = 30
"""A page with fewer words than this holds no content if scripts are to fill it."""
NOTHING_WORDS = 6
"""A page that shows no more words than this, such as “Loading…”, holds no content if it loads scripts."""
STATUS_WORDS = 8
"""Most words of a line that shows the status of a page, such as “Error 404”."""
_STATUS = re.compile(r"(?<![\w.,-])(?:404|410)(?![\w]|[.,-]\d)")
_MAY_BE_MISSING = re.compile(rf"{_STATUS.pattern}|\bnot found\b", re.IGNORECASE)
"""What the heading of a missing page has, and the heading of a document may have too, such as “Form 410”."""
_SCRIPTS = re.compile(r"\bjavascript", re.IGNORECASE)
_NEEDS_SCRIPTS = re.compile(
    r"\b(?:enable|activate|turn on|requires?|need|without|aktivieren\w*|activer|habilit\w+|active)\b[^.]{0,40}"
    r"\bjavascript"
    r"|\bjavascript\b[^.]{0,60}\b(?:disabled|enabled?|required|needed|aktivier\w+|deaktiviert|benötigt|désactivé"
    r"|activ\w+|deshabilitado|off)\b",
    re.IGNORECASE,
)
_MISSING = re.compile(
    r"\b(?:page|file|document)\b.{0,20}\b(?:not found|can(?:no|')t be found|does(?:n't| not) exist"
    r"|no longer (?:exists|available))|(?<![\w.,-])(?:404|410)\b.{0,20}\bnot found\b"
    r"|seite (?:wurde )?nicht gefunden|seite existiert nicht"
    r"|page (?:non trouvée|introuvable)|página no (?:encontrada|existe)|página não encontrada|pagina non trovata"
    r"|pagina niet gevonden",
    re.IGNORECASE,
)
_REFRESH = re.compile(r"\s*(\d{1,3})\s*[;,]\s*url\s*=\s*['\"]?([^'\"\s]{1,300})", re.IGNORECASE)

SIGN_IN = "it is a sign-in page, not the document. Export the document, or give an address that needs no sign-in"
MISSING = "the server says that this page does not exist, although it answered. Check the address"
SCRIPTED = (
    "it shows its text only with JavaScript. Save the page from a browser as HTML or PDF and add that file, or ask an "
    "operator to set PARLEY_RENDER=chromium"
)


def refuse_empty_page(tree: Any, blocks: Sequence[PageBlock], hints: PageHints) -> None:
    """Raise ParseError, with what to do, if a page holds no content of its own."""
    words = sum(_words(block.text) for block in blocks)
    if words > FEW_WORDS:
        return
    if words <= NO_WORDS and (target := _refresh(tree)):
        raise ParseError(f"it only leads to {target}. Add that address")
    if hints.sign_in and words <= NO_WORDS:
        raise ParseError(SIGN_IN)
    if _needs_scripts(" ".join(block.text for block in blocks), words, hints):
        raise ParseError(SCRIPTED)
    if _is_missing(tree, blocks, words, hints):
        raise ParseError(MISSING)
    if hints.password or (hints.sign_in_link and words <= NO_WORDS):
        raise ParseError(SIGN_IN)


def _needs_scripts(text: str, words: int, hints: PageHints) -> bool:
    if words > NO_WORDS:
        return False
    if hints.script_root or _NEEDS_SCRIPTS.search(text):
        return True
    if not hints.has_scripts:
        return bool(_NEEDS_SCRIPTS.search(hints.script_note))
    few = words <= NOTHING_WORDS or (words <= 2 * NOTHING_WORDS and bool(_SCRIPTS.search(text)))
    return 0 < _words(hints.script_note) <= FEW_WORDS or few


def _is_missing(tree: Any, blocks: Sequence[PageBlock], words: int, hints: PageHints) -> bool:
    title = " ".join((tree.findtext(".//title") or "").split())
    heads = [title, *(block.text for block in blocks if block.kind == "heading")]
    if any(_MISSING.search(head) for head in heads):
        return True
    may_be = [head for head in heads if _MAY_BE_MISSING.search(head)]
    if may_be and (
        words <= NO_WORDS or hints.missing or any(not _words(_MAY_BE_MISSING.sub("", one)) for one in may_be)
    ):
        return True
    if any(_STATUS.search(block.text) and _words(block.text) <= STATUS_WORDS for block in blocks):
        return words <= NO_WORDS
    return words <= NO_WORDS and (hints.missing or (hints.unlisted and hints.home_link))


def _words(text: str) -> int:
    """Return the number of words. In scripts without spaces, two letters count as one."""
    return sum(
        (len(word_splitter.letters(run)) + 1) // 2 if unspaced else 1
        for word in word_splitter.words(text)
        for run, unspaced in word_splitter.runs(word)
    )


def _refresh(tree: Any) -> str:
    """Return where a page sends its reader at once; empty if it does not."""
    for meta in tree.iter("meta"):
        found = _REFRESH.match(meta.get("content") or "")
        if str(meta.get("http-equiv") or "").lower() == "refresh" and found and int(found.group(1)) <= 10:
            return found.group(2)
    return ""
