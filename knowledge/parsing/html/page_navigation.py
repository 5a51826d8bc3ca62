"""Recognizes the navigation of a page: elements that are navigation by tag or role, or are named like it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

NAVIGATION_TAGS = frozenset(("nav", "footer"))
_NAVIGATION_ROLES = frozenset(
    "navigation banner contentinfo search menu menubar toolbar tablist dialog alertdialog".split()
)
_NAVIGATION_NAMES = re.compile(
    r"(?:^|(?<=[\s_-]))(nav|navbar|navigation|menu|breadcrumbs?|sidebar|share|sharing|social|socials|related|recommended"
    r"|recommendations?|recirc|comments?|disqus|cookies?|consent|gdpr|advert(?:isement)?s?|ads?|promo|promos|sponsored"
    r"|outbrain|taboola|newsletter|subscribe|subscription|signup|sign-up|popup|modal|overlay|scrim|pagination|pager"
    r"|footer|masthead|skip-link|skiplinks|toolbar|trending|most-read|mostread|popular|read-?more|more-stories|tags?"
    r"|latest(?:-news)?|teasers?|relatedposts|cta|rodape|d-print-block|visible-print|gallery|carousel|slideshow|byline|author-bio|print-only|sr-only|visually-hidden|screen-reader-text|copyright)(?=$|[\s_-])",
    re.IGNORECASE,
)
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
"""Where a part of a name starts, as in ``relatedContent``."""
_UNNAMED_TAGS = frozenset(("html", "body", "main", "article"))
"""Elements whose names say nothing of navigation, because the content stands in them too."""


def is_navigation(element: Any) -> bool:
    """Return whether an element is navigation by its tag or role."""
    return element.tag in NAVIGATION_TAGS or element.get("role") in _NAVIGATION_ROLES


def navigation_names(element: Any) -> frozenset[str]:
    """Return the words of an element's class and id that name navigation."""
    if element.tag in _UNNAMED_TAGS:
        return frozenset()
    names = _CAMEL.sub("-", f"{element.get('class') or ''} {element.get('id') or ''}")
    return frozenset(name.lower() for name in _NAVIGATION_NAMES.findall(names))


def is_around(element: Any) -> bool:
    """Return whether the element or one around it is navigation or is named like it."""
    return any(is_navigation(above) or navigation_names(above) for above in upward(element))


def upward(element: Any) -> Iterator[Any]:
    """Yield an element and those around it, innermost first."""
    yield element
    yield from element.iterancestors()
