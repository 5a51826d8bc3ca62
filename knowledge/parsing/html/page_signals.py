"""Collects signs of the kind of a page that need no reading of its text: forms, scripts, class names, addresses."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any
from urllib.parse import urlsplit

from knowledge.sign_in_urls import FORM_FIELDS, is_sign_in, leads_back

_SIGN_IN_TOKENS = frozenset(("username", "current-password", "webauthn"))
"""What a field fills itself in with (HTML, ``autocomplete``) on a sign-in page."""
_MISSING_NAME = re.compile(
    r"(?:^|[-_])(?:error|page|http|status)?[-_]?404(?:$|[-_])|(?:^|[-_])(?:page)?[-_]?not[-_]?found(?:$|[-_])",
    re.IGNORECASE,
)
"""A class or id that generators of pages give to what they show for a missing page, such as ``error404``."""
_MISSING_STATE = re.compile(
    r"""["']?(?:statusCode|httpStatus)["']?\s*:\s*(?:404|410)\b|["']page["']\s*:\s*["']/(?:404|_error)["']"""
)
MAX_NAMED = 200
"""Elements whose names are looked at, from the first one on."""
_SCRIPT_ROOTS = ("root", "app", "__next", "__nuxt", "app-root", "svelte", "main-app", "react-root")


@dataclass(frozen=True, slots=True)
class PageHints:
    """Signs of the kind of a page, such as a sign-in page, outside of its text.

    ``has_scripts``: it loads scripts. ``script_note``: what it shows without scripts. ``script_root``: it has an empty
    element for scripts to fill. ``password``: it has a field for one. ``sign_in``: it has a form of a sign-in page or
    protocol. ``sign_in_link``: it links to a sign-in page that leads back. ``missing``: its parts are named as those of
    a missing page. ``unlisted``: search engines are told to leave it out. ``home_link``: it links to its site's start.
    """

    has_scripts: bool = False
    script_note: str = ""
    script_root: bool = False
    password: bool = False
    sign_in: bool = False
    sign_in_link: bool = False
    missing: bool = False
    unlisted: bool = False
    home_link: bool = False


def hints_of(tree: Any) -> PageHints:
    """Return the hints of a page from which nothing has been removed yet."""
    scripts = list(tree.iter("script"))
    links = [str(link.get("href") or "") for link in tree.iter("a")]
    fields = list(tree.iter("input"))
    return PageHints(
        has_scripts=any(script.get("src") for script in scripts),
        script_note=" ".join("".join(note.itertext()) for note in tree.iter("noscript")).strip(),
        script_root=bool(scripts) and any(True for _ in _script_roots(tree)),
        password=any(str(field.get("type")).lower() == "password" for field in fields),
        sign_in=any(map(_signs_in, fields))
        or any(is_sign_in(str(form.get("action") or "")) for form in tree.iter("form")),
        sign_in_link=any(map(leads_back, links)),
        missing=any(
            map(
                _is_named_missing,
                islice(tree.iter("html", "body", "main", "section", "article", "div", "h1"), MAX_NAMED),
            )
        )
        or any(_MISSING_STATE.search(script.text or "") for script in scripts),
        unlisted=any(
            str(meta.get("name")).lower() == "robots" and "noindex" in str(meta.get("content")).lower()
            for meta in tree.iter("meta")
        ),
        home_link=any(_leads_home(link) for link in links),
    )


def _script_roots(tree: Any) -> Iterator[Any]:
    for element in tree.iter("div", "main", "app-root"):
        named = element.get("id") in _SCRIPT_ROOTS or element.tag == "app-root"
        if named and not "".join(element.itertext()).strip():
            yield element


def _signs_in(field: Any) -> bool:
    tokens = set(str(field.get("autocomplete") or "").lower().split())
    return bool(tokens & _SIGN_IN_TOKENS) or str(field.get("name") or "").lower() in FORM_FIELDS


def _is_named_missing(element: Any) -> bool:
    names = [str(element.get("id") or ""), *str(element.get("class") or "").split()]
    return any(map(_MISSING_NAME.search, filter(None, names)))


def _leads_home(link: str) -> bool:
    try:
        parts = urlsplit(link)
    except ValueError:
        return False
    return parts.path == "/" or (bool(parts.netloc) and not parts.path)
