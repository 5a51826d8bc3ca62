"""Renders code blocks to safe HTML: highlighted if the language is known, with a button that copies the code."""

from __future__ import annotations

import html
from functools import lru_cache

from bot.platforms.web import user_messages

MAX_HIGHLIGHTED_CHARS = 20_000
"""Longer code is shown without colors, because a block is rendered again with each piece of an answer."""


def code_block(code: str, language: str = "") -> str:
    """Return the HTML of a code block. The keyboard scrolls it when it has the focus."""
    copy = f'<button type="button" class="copy" data-copy>{user_messages.COPY_CODE}</button>'
    head = f'<div class="code-head"><span>{html.escape(language)}</span>{copy}</div>'
    label = html.escape(user_messages.CODE)
    shown = _highlighted(code, language.lower())
    return (
        f'<div class="code">{head}<pre tabindex="0" role="group" aria-label="{label}"><code>{shown}</code></pre></div>'
    )


@lru_cache(256)
def _highlighted(code: str, language: str) -> str:
    """Return the code with each token in an element whose class names its kind, or escaped as it is."""
    if not language or len(code) > MAX_HIGHLIGHTED_CHARS:
        return html.escape(code)
    from pygments import highlight
    from pygments.formatters.html import HtmlFormatter
    from pygments.lexers import get_lexer_by_name
    from pygments.util import ClassNotFound

    try:
        lexer = get_lexer_by_name(language, stripnl=False, ensurenl=False)
    except ClassNotFound:
        return html.escape(code)
    return str(highlight(code, lexer, HtmlFormatter(nowrap=True)))
