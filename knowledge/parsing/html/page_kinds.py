"""Recognizes pages that hold no content: sign-in pages, missing pages, redirects and pages that only scripts fill."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from knowledge.errors import ParseError
from knowledge.parsing.html.html_blocks import PageBlock

FEW_WORDS = 120
"""A page with more words than this holds content, whatever else is on it."""
NO_WORDS = 30
"""A page with fewer words than this holds no content if scripts are to fill it."""
_NEEDS_SCRIPTS = re.compile(
    r"\b(?:enable|activate|turn on|requires?|need|without|aktivieren\w*|activer|habilit\w+|active)\b[^.]{0,40}"
    r"\bjavascript"
    r"|\bjavascript\b[^.]{0,60}\b(?:disabled|enabled?|required|needed|aktivier\w+|deaktiviert|benötigt|désactivé"
    r"|activ\w+|deshabilitado|off)\b",
    re.IGNORECASE,
)
_SCRIPT_ROOTS = ("root", "app", "__next", "__nuxt", "app-root", "svelte", "main-app", "react-root")
_MISSING = re.compile(
    r"\b(?:error\s*)?404\b|\b(?:page|file|document)\b.{0,20}\b(?:not found|can(?:no|')t be found|does(?:n't| not) exist"
    r"|no longer (?:exists|available))|\bnot found\b|seite (?:wurde )?nicht gefunden|seite existiert nicht"
    r"|page (?:non trouvée|introuvable)|página no (?:encontrada|existe)|página não encontrada|pagina non trovata"
    r"|pagina niet gevonden",
    re.IGNORECASE,
)
_SIGN_IN = re.compile(
    r"\b(?:log ?in|sign ?in|log ?on|password|anmelden|einloggen|passwort|kennwort|connexion|se connecter|mot de passe"
    r"|iniciar sesión|contraseña|accedi|inloggen|wachtwoord|entrar|senha)\b",
    re.IGNORECASE,
)
_REFRESH = re.compile(r"\s*(\d{1,3})\s*[;,]\s*url\s*=\s*['\"]?([^'\"\s]{1,300})", re.IGNORECASE)

SIGN_IN = "it is a sign-in page, not the document. Export the document, or give an address that needs no sign-in"
MISSING = "the server says that this page does not exist, although it answered. Check the address"
SCRIPTED = (
    "it shows its text only with JavaScript. Save the page from a browser as HTML or PDF and add that file, or ask an "
    "operator to set PARLEY_RENDER=chromium"
)


@dataclass(frozen=True, slots=True)
class Hints:
    """What a page shows of its kind outside of its text: ``scripted``, if scripts fill it, and a ``password`` field."""

    scripted: bool
    password: bool


def hints_of(tree: Any) -> Hints:
    """Return the hints of a page from which nothing has been removed yet."""
    password = any(str(field.get("type")).lower() == "password" for field in tree.iter("input"))
    return Hints(_needs_scripts(tree), password)


def _needs_scripts(tree: Any) -> bool:
    """Return whether a page says that it needs JavaScript, or has an empty element that scripts fill."""
    notes = " ".join("".join(note.itertext()) for note in tree.iter("noscript"))
    if _NEEDS_SCRIPTS.search(notes):
        return True
    if not any(True for _ in tree.iter("script")):
        return False
    return any(
        element.get("id") in _SCRIPT_ROOTS or element.tag == "app-root"
        for element in tree.iter("div", "main", "app-root")
        if not "".join(element.itertext()).strip()
    )


def refuse_empty_page(tree: Any, blocks: Sequence[PageBlock], hints: Hints) -> None:
    """Raise ParseError, with what to do, if a page holds no content of its own."""
    text = " ".join(block.text for block in blocks)
    words = len(text.split())
    if words > FEW_WORDS:
        return
    if words <= NO_WORDS and (target := _refresh(tree)):
        raise ParseError(f"it only leads to {target}. Add that address")
    if (hints.scripted and words <= NO_WORDS) or (words <= NO_WORDS and _NEEDS_SCRIPTS.search(text)):
        raise ParseError(SCRIPTED)
    heads = " ".join([tree.findtext(".//title") or "", *(block.text for block in blocks if block.kind == "heading")])
    if _MISSING.search(heads) and words <= FEW_WORDS:
        raise ParseError(MISSING)
    if hints.password and _SIGN_IN.search(f"{heads} {text}"):
        raise ParseError(SIGN_IN)


def _refresh(tree: Any) -> str:
    """Return where a page sends its reader at once; empty if it does not."""
    for meta in tree.iter("meta"):
        found = _REFRESH.match(meta.get("content") or "")
        if str(meta.get("http-equiv") or "").lower() == "refresh" and found and int(found.group(1)) <= 10:
            return found.group(2)
    return ""


def _has_password(tree: Any) -> bool:
    return any(str(field.get("type")).lower() == "password" for field in tree.iter("input"))
