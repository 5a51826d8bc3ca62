"""Finds what the author of a chat message says themselves: neither code nor a quotation. Makes no requests."""

from __future__ import annotations

import re
from collections.abc import Callable

HIDDEN = "\0"
"""Stands for each character of code and quotations."""

_CODE = r"```.+?```|(?<!`)(?P<ticks>`{1,2})(?!`).+?(?<!`)(?P=ticks)(?!`)"


def speaker(quote_mark: str) -> Callable[[str], str]:
    """Return the function that hides code and quoted lines, for a platform that writes quotations with ``quote_mark``.

    The result of that function is as long as its text, so that places in one are places in the other. Three marks
    quote everything below them.
    """
    line, rest = re.escape(quote_mark), re.escape(quote_mark.strip() * 3)
    unspoken = re.compile(rf"{_CODE}|^{rest}.*\Z|^{line}[^\n]*", re.DOTALL | re.MULTILINE)

    def spoken(text: str) -> str:
        return unspoken.sub(lambda found: HIDDEN * len(found[0]), text.replace(HIDDEN, " "))

    return spoken
