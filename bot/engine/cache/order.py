"""Orders of words that say the same: ``In Python, how do I ...``, ``iOS or Android``, ``to B from A``. Pure.

Each turns a question to one of its orders only where the other could not mean anything else: between two words that
bound what is moved. In doubt the order stays, and two questions are two.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_ASKS = r"(?:what|which|who|whom|whose|how|why|when|where|can|could|should|may|must|is|are|do|does|did|will|would)\b"
_FRONTED = re.compile(
    rf"^((?:in|on|for|with|without|during|under|inside|at|if|when|once|after|before|while)\s[^,?!.;]+),\s*({_ASKS}[^?!.;]*)$"
)
_BEST = re.compile(
    r"^(?:what|which) ((?!(?:is|are|was|were)\b)\w+(?: \w+){0,2}) (?:is|are) (?:the )?"
    r"(best|better|worst|cheapest|fastest|easiest|safest|biggest|largest|smallest|longest|shortest|highest|lowest|"
    r"latest|newest|oldest|most \w+|least \w+)(?= |$)"
)
_FIT = re.compile(
    r"^(is|are) (\w{2,}ing) (.+) (healthy|unhealthy|safe|dangerous|bad|good|better|allowed|legal|illegal|necessary|"
    r"required|mandatory|possible|worth it|free|okay|ok)$"
)
_IT_IS_FIT = re.compile(
    r"^(is) it (healthy|unhealthy|safe|dangerous|bad|good|better|allowed|legal|illegal|necessary|required|mandatory|"
    r"possible|worth it|free|okay|ok) to (.+)$"
)
_DONE = re.compile(r"^how (can|could|should) ([^?]+?) be (\w+ed)\b(?! by\b)((?!.* by\b).*)$")
_PLACING = frozenset(
    "in on at for about from to into with without of under over between by against than as before after during until "
    "since if when while that which who".split()
)
_BOUNDS = _PLACING | frozenset("is are was were do does did what better best".split())
_TAKING = frozenset("use using buy take get choose pick have need want learn install support prefer bring join".split())
_ARTICLES = frozenset("a an the my our your some any".split())
_CLAUSES = frozenset(
    "if that who which when whether what because to and or but not never before after while without unless".split()
)
_MANNERS = frozenset(
    "permanently temporarily automatically manually quickly fast easily safely securely properly correctly remotely "
    "completely effectively efficiently legally anonymously online offline".split()
)
_LONGEST_SIDE = 3


def settled(text: str) -> str:
    """A question in lower case with what stood in front moved to its end, and its quality beside its thing."""
    text = _FRONTED.sub(r"\2 \1", text)
    text = _BEST.sub(r"what is the \2 \1", text)
    text = _FIT.sub(r"\1 it \4 to \2 \3", text)
    return _DONE.sub(r"how \1 i \3 \2\4", text)


def fit(text: str) -> str:
    """``is it healthy to`` as a word in front of what is done, which is left as it stands."""
    return _IT_IS_FIT.sub(r"\1 \2 to \3", text)


def ordered(tokens: Sequence[str], *, one_verb: bool) -> list[str]:
    """Alternatives in the order of the alphabet, ``from`` before ``to``, and how something is done behind it.

    ``one_verb`` says that the question begins with its verb: a manner can belong to no other, and of two things to be
    done the order counts.
    """
    turned = _from_before_to(_alternatives(list(tokens), one_verb=one_verb))
    return _manner_last(turned) if one_verb else turned


def _alternatives(tokens: list[str], *, one_verb: bool) -> list[str]:
    joints = [place for place, token in enumerate(tokens) if token in ("and", "or")]
    if len(joints) != 1 or "between" in tokens:
        return tokens
    joint = joints[0]
    start = joint
    while start > 0 and joint - start <= _LONGEST_SIDE and tokens[start - 1] not in _BOUNDS | _ARTICLES | _TAKING:
        start -= 1
    if one_verb and start == 0 and tokens[joint] == "and":
        return tokens
    begin = joint + 1 + (tokens[joint + 1 : joint + 2] != [] and tokens[joint + 1] in _ARTICLES)
    end = begin
    while end < len(tokens) and end - begin <= _LONGEST_SIDE and tokens[end] not in _BOUNDS | _ARTICLES:
        end += 1
    one, other = tokens[start:joint], tokens[begin:end]
    if not (0 < len(one) <= _LONGEST_SIDE and 0 < len(other) <= _LONGEST_SIDE and _apart(tokens, start, end)):
        return tokens
    first, second = sorted((one, other))
    return [*tokens[:start], *first, tokens[joint], *second, *tokens[end:]]


def _apart(tokens: Sequence[str], start: int, end: int) -> bool:
    """Whether what follows cannot belong to the second side alone: inside of a phrase with a preposition it could."""
    before = next((token for token in reversed(tokens[:start]) if token not in _ARTICLES), "")
    return end == len(tokens) or before not in _PLACING | _TAKING


def _from_before_to(tokens: list[str]) -> list[str]:
    if tokens.count("from") != 1 or tokens.count("to") != 1:
        return tokens
    to, source = tokens.index("to"), tokens.index("from")
    if not 1 < source - to <= _LONGEST_SIDE + 1 or not _BOUNDS.isdisjoint(tokens[to + 1 : source]):
        return tokens
    end = next((place for place in range(source + 1, len(tokens)) if tokens[place] in _BOUNDS), len(tokens))
    if not 1 < end - source <= _LONGEST_SIDE + 1:
        return tokens
    return [*tokens[:to], *tokens[source:end], *tokens[to:source], *tokens[end:]]


def _manner_last(tokens: list[str]) -> list[str]:
    manners = [token for token in tokens if token in _MANNERS]
    if len(manners) != 1 or not _CLAUSES.isdisjoint(tokens):
        return tokens
    return [*(token for token in tokens if token not in _MANNERS), *manners]
