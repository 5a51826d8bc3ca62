"""Leaves teasers of other pages, advertisements and appeals to subscribe out of the main content of a page."""

from __future__ import annotations

import re
from collections.abc import Sequence

from knowledge.parsing.html.html_blocks import PageBlock

MAX_TEASER_WORDS = 60
MAX_APPEAL_WORDS = 45
MIN_TEASER_LINKED = 0.4
"""Share of links in a teaser that starts with its label."""
MIN_APPEAL_LINKED = 0.08
ALL_LINKED = 0.95

_RELATED = "|".join(
    (
        "related(?: (?:articles?|content|links?|news|pages?|posts?|reading|stor(?:y|ies)|topics?|videos?|coverage))?",
        "you (?:may|might) (?:also )?(?:like|enjoy|be interested in)(?: this| these)?",
        "recommended(?: (?:for you|articles|reading|stories))?",
        "more (?:on this (?:story|topic)|stories|from (?:the )?web|like this|news)",
        r"read (?:also|more|next|this next)|see more|also(?: on| read| see)?\b.{0,30}?|don(?:'|’)t miss|top stories",
        "popular (?:now|stories|articles|posts)|most (?:read|popular|viewed)|trending(?: now)?|partner news",
        "latest (?:news|stories|articles|posts)",
        "lesen sie (?:auch|mehr|dazu auch)|auch interessant|das könnte sie (?:auch )?interessieren|mehr zum thema",
        "weitere (?:artikel|meldungen|nachrichten|beiträge)|verwandte (?:artikel|beiträge|themen)|meistgelesen",
        "ähnliche (?:artikel|beiträge)",
        "(?:à )?lire aussi|sur le même sujet|vous aimerez aussi|articles (?:similaires|liés)",
        "lee también|leer más|te puede interesar|también te puede (?:gustar|interesar)",
        "(?:artículos|noticias|artigos|notícias|posts) relacionad[ao]s",
        "leggi anche(?: su)?|potrebbe interessarti(?: anche)?|articoli correlati",
        "leia (?:também|mais)|você (?:também )?pode gostar|lees ook|gerelateerde artikelen|läs (?:också|även|mer)",
        "les også|læs også|czytaj (?:także|też|również)|читайте (?:также|ещё)|по теме",
    )
)
_LABEL = re.compile(rf"\W*(?:{_RELATED})\W*", re.IGNORECASE)
_LABEL_START = re.compile(rf"\W*(?:{_RELATED})(?:\s*[:\n|–—-]|\s+(?=[A-ZА-Я0-9'‘“\"]))", re.IGNORECASE)
_NOTICES = "|".join(
    (
        "advert|advertisements?|anzeige|werbung|publicité|publicidade?|pubblicità|reklam[ae]?|iklan",
        "sponsored(?: (?:links?|content|post))?",
        "comments?|kommentare?|commentaires?|comentarios|comentários|leave a (?:reply|comment)|post comment",
        r"tell us what you think|like this|like loading|like this story\? share it with a friend",
        "share (?:this|this (?:article|story|page|post)|on .{1,20})|order reprints|print (?:this )?article|text size",
        r"loading|image \d+ of \d+|\d+ ?/ ?\d+ photos",
        r"(?:estimated )?reading time\W+\d+ min(?:utes?)?|lesezeit\W+\d+ min(?:uten?)?|tempo de leitura\W+\d+ minutos?",
    )
)
_NOTICE = re.compile(rf"\W*(?:{_NOTICES})\W*", re.IGNORECASE)
_TAGS = re.compile(
    r"\W*(?:tags?|keywords|schlagw(?:orte|örter)|filed under|topics|etiquetas|mots[- ]clés)\s*[:\n]", re.IGNORECASE
)
_NETWORKS = re.compile(
    r"\b(?:facebook|twitter|instagram|linkedin|youtube|tiktok|pinterest|mastodon|bluesky)\b|@\w+", re.IGNORECASE
)
_APPEAL = re.compile(
    r"\b(?:(?:click|clicking|tap|tapping) here|sign up|subscribe|newsletters?|get the .{1,40}\bapp\b"
    r"|follow (?:us|me|him|her|them|@|\w+ on)|(?:reach|email|write to|contact) .{1,40}@|have a tip"
    r"|abonnieren|abonnez|suscríbete|iscriviti|inscreva)",
    re.IGNORECASE,
)


def without_teasers(blocks: Sequence[PageBlock]) -> list[PageBlock]:
    """Return the blocks without teasers, in order. A block that may be a statement of the document stays."""
    within_article = sum(len(block.text.split()) for block in blocks if block.kind == "paragraph") > MAX_TEASER_WORDS
    if not within_article:
        return list(blocks)
    kept: list[PageBlock] = []
    label: PageBlock | None = None
    for block, following in zip(blocks, [*blocks[1:], None], strict=True):
        if label is not None and _is_below(block, label):
            continue
        label = block if _is_related_label(block) and (following is None or _is_below(following, block)) else None
        if label is not None:
            continue
        if _is_teaser(block) or _is_notice(block):
            continue
        kept.append(block)
    return kept


def _is_related_label(block: PageBlock) -> bool:
    """Return whether a block only says that related pages follow."""
    return block.kind in ("heading", "paragraph", "quote") and bool(_LABEL.fullmatch(block.text))


def _is_below(block: PageBlock, label: PageBlock) -> bool:
    """Return whether a block stands in the part that a label starts: links, and whole other pages after a heading."""
    if block.kind == "heading" and label.kind == "heading" and block.level <= label.level and not _all_linked(block):
        return False
    if block.linked >= MIN_TEASER_LINKED * len(block.text):
        return True
    around = label.element.getparent()
    other_page = next((above for above in block.element.iterancestors() if above.getparent() is around), None)
    return other_page is not None and other_page.tag == "article"


def _is_teaser(block: PageBlock) -> bool:
    if len(block.text.split()) > MAX_TEASER_WORDS:
        return bool(_TAGS.match(block.text)) and _all_linked(block, MIN_TEASER_LINKED)
    if block.kind == "list" or block.kind == "table" or block.kind == "code":
        return False
    labelled = _LABEL_START.match(block.text) or _TAGS.match(block.text)
    return bool(labelled) and _all_linked(block, MIN_TEASER_LINKED)


def _all_linked(block: PageBlock, share: float = ALL_LINKED) -> bool:
    return block.linked >= share * len(block.text)


def _is_notice(block: PageBlock) -> bool:
    """Return whether a block speaks of the site: an advertisement, a button, or an appeal to follow or subscribe."""
    if block.kind not in ("heading", "paragraph", "quote"):
        return False
    if _NOTICE.fullmatch(block.text):
        return True
    if len(block.text.split()) > MAX_APPEAL_WORDS or not _all_linked(block, MIN_APPEAL_LINKED):
        return False
    networks = len(set(_NETWORKS.findall(block.text.lower())))
    return bool(_APPEAL.search(block.text)) and (networks >= 2 or _all_linked(block))
