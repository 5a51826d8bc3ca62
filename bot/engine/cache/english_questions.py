"""Reduces an English question to the words that its answer depends on. Does no I/O.

Two questions that reduce to the same words ask the same. Articles, auxiliaries, plural endings and phrases such as "how
can I" are removed. All other words stay, in their order. ``benchmarks/cache_rules.py`` measures what each group of
rules adds. In other languages almost nothing is removed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from bot.engine.cache.key import normalized

_TOKEN = re.compile(
    r"(?<!\S)\.[^\W\d_]\w*|\d+(?:[.,:/]\d+)*%?|[^\W\d_]+(?:[&.+'-]?[^\W_]+)*[+#]*|[€$£%<>=+*/]|[a-z_]\w*",
    re.IGNORECASE,
)
"""A word, a number or a sign, including names such as ``.NET``, ``C++`` and ``on-call``."""
_ANYONE = r"(?:i|we|you|one|people|someone|somebody|anyone|a person)"
_MODAL = r"(?:do|does|can|could|should|would|may|might|must)"
HOW_DO_I = (
    rf"how {_MODAL} {_ANYONE} (?:best |actually |properly |correctly |go about |be able to )?",
    rf"how {_ANYONE} (?:can |could |should |may |might )?",
    r"how (?:is it possible )?to (?:best )?",
)
BEST_WAY_TO = (
    rf"in (?:what|which) ways? {_MODAL} {_ANYONE} ",
    r"what(?: is|'s| are| would be) (?:the |some |a )?(?:best |right |proper |correct |recommended |good )?"
    rf"(?:ways?|steps|procedures?|process|methods?|approach|approaches)(?: for {_ANYONE})? (?:to|of|for) ",
    rf"what (?:steps )?(?:do|should|must|can) {_ANYONE} (?:have to |need to )?(?:do|take) (?:in order )?to ",
)
_HOW_TO = re.compile(rf"(?:{'|'.join((*HOW_DO_I, *BEST_WAY_TO))})")
_HOW = "how-to"
ARTICLES = frozenset("a an the some".split())
AUXILIARIES = frozenset("do does is are am".split())
POSSESSIVES = frozenset("my our".split())
FILLERS = frozenset("just really actually exactly basically simply ever very there that of".split())
_REMOVED = ARTICLES | AUXILIARIES | POSSESSIVES | FILLERS
_POINTING = frozenset(
    "it he she him her his hers they them their this these those that same such above below here".split()
)
"""Words that may refer to an earlier message."""
_QUESTION_WORDS = frozenset(("how", _HOW, "what", "which", "who", "when", "where", "why"))
_UNCHANGED = frozenset("news goods customs means arms terms savings always perhaps was has".split())
"""Words ending in -s that are not plurals, or that mean something else in the singular."""


@dataclass(frozen=True, slots=True)
class Wording:
    """The words of a question that matter, in order. ``points_back``: it may need an earlier message as context."""

    words: tuple[str, ...]
    points_back: bool

    @property
    def is_specific(self) -> bool:
        """Whether enough words are left to tell the question from others."""
        return any(len(word) > 1 and word not in _QUESTION_WORDS for word in self.words)


def reduced(question: str) -> Wording:
    """Return the words that the answer to a question depends on."""
    text = normalized(question).replace("’", "'")
    how = _HOW_TO.match(text)
    tokens = [token.removesuffix("'s") for token in _TOKEN.findall(text[how.end() :] if how else text)]
    # The last word always counts: "What does Anna do?" is not "What is Anna?".
    kept = [token for token in tokens[:-1] if token not in _REMOVED] + tokens[-1:]
    words = ([_HOW] if how else []) + [_singular(token) for token in kept]
    return Wording(tuple(words), not _POINTING.isdisjoint(tokens))


def _singular(word: str) -> str:
    if len(word) < 4 or not word.endswith("s") or word.endswith(("ss", "us", "is")) or word in _UNCHANGED:
        return word
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("sses", "shes", "ches", "xes", "zes")):
        return word[:-2]
    return word[:-1]
