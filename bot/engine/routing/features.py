"""Extracts lexical features of a question for the routing classifier. Runs in linear time."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

READ = 3000
"""Maximum number of characters of a question that are read. Later ones do not change the rating."""

_DENSE = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
"""Matches a character of a script without spaces between words; two of them count as one word."""
_WORD = re.compile(rf"[{_DENSE}]{{1,2}}|[^\W\d_{_DENSE}]+(?:['’][^\W\d_{_DENSE}]+)?")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_SENTENCE_END = re.compile(r"[.!?。？！](?:\s|$)")
_SIGN = re.compile(r"[=+*/^<>{}\[\]\\|_$√∑∫≤≥±→]")
_QUOTE = re.compile(r"[\"'“”]")
_GAP = re.compile(r"_{2,}")
_CHOICE = re.compile(r"\n[A-Z][.)] |\bAnswer:")
"""The option letters of a multiple-choice question, which say nothing about its difficulty."""

_CLASSES = {
    "logic": r"\b(?:if|unless|assum\w+|suppos\w+|given|provided|except|otherwise|either|neither|whether|because"
    r"|therefore|hence|thus)\b",
    "negation": r"\b(?:not|no|never|none|nor|without|cannot|false|incorrect|except|least)\b|n['’]t\b",
    "quantity": r"\b(?:how (?:many|much|long|far|old)|total|sum|average|mean|percent\w*|ratio|rate|per|each|every|half"
    r"|twice|double|triple|third|quarter|times|fraction|probability)\b|%",
    "comparison": r"\b(?:more|less|fewer|greater|most|least|than|rather|best|compare\w*|differen\w+|versus|vs)\b",
    "order": r"\b(?:first|then|next|after|before|until|later|finally|while|during|already|remaining|left|rest)\b",
    "question": r"\b(?:what|which|who|whom|whose|when|where)\b",
    "pronoun": r"\b(?:he|she|they|him|her|them|his|their|it|its)\b",
}
_PATTERNS = {name: re.compile(pattern, re.IGNORECASE) for name, pattern in _CLASSES.items()}

_DEMANDS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"\b(?:compare|contrast|weigh up|tell the difference|vergleiche)\b|\b(?:difference|unterschied)\b"
        r"|\bpros and cons\b|\btrade-?offs?\b|\bvor- und nachteile\b",
        r"\b(?:explain|justify|argue|erkläre|begründe)\b",
        r"\bstep[- ]by[- ]step\b|\bschritt für schritt\b|\bin detail\b",
        r"\b(?:analy[sz]e|evaluate|assess|critique|review|investigate|diagnose|debug|bewerte|analysiere)\b"
        r"|\broot cause\b",
        r"\b(?:prove|derive|calculate|work out|estimate|berechne|beweise)\b",
        r"\b(?:draft|design|propose|outline|recommend|suggest|write|plan|rewrite|refactor|entwirf|schreibe?|plane)\b",
        r"\b(?:summari[sz]e|synthesi[sz]e|fasse)\b",
        r"\b(?:implications?|consequences?|strateg(?:y|ies)|folgen)\b",
        r"```|\btraceback\b|\bstack trace\b",
    )
)

SHAPE = (
    "words",
    "sentences",
    "sentence_length",
    "word_length",
    "long_words",
    "short_words",
    "variety",
    "numbers",
    "large_numbers",
    "signs",
    "capitals",
    "commas",
    "quotes",
    "question_mark",
    "gap",
    *_CLASSES,
    *(f"{name}_share" for name in _CLASSES),
)
"""Names of the features that ``shape`` returns, in order."""


def shape(question: str) -> list[float]:
    """Return the length, number, sign and word-class features of a question; counts are logarithms."""
    text = _CHOICE.sub(" ", question[:READ])
    words = _WORD.findall(text)
    count = max(len(words), 1)
    sentences = len(_SENTENCE_END.findall(text)) or 1
    numbers = _NUMBER.findall(text)
    kinds = [len(pattern.findall(text)) for pattern in _PATTERNS.values()]
    return [
        math.log1p(count),
        math.log1p(sentences),
        math.log1p(count / sentences),
        *_word_features(words, count),
        math.log1p(len(numbers)),
        math.log1p(sum(len(number) >= 3 for number in numbers)),
        math.log1p(len(_SIGN.findall(text))),
        sum(word[0].isupper() for word in words) / count,
        text.count(",") / count,
        math.log1p(len(_QUOTE.findall(text))),
        float("?" in text or "？" in text),
        float(bool(_GAP.search(text))),
        *(math.log1p(kind) for kind in kinds),
        *(kind / count for kind in kinds),
    ]


def _word_features(words: Sequence[str], count: int) -> list[float]:
    lengths = [len(word) for word in words]
    return [
        sum(lengths) / count,
        sum(length >= 9 for length in lengths) / count,
        sum(length <= 3 for length in lengths) / count,
        len({word.lower() for word in words}) / count,
    ]


def demands(question: str) -> int:
    """Return how many kinds of work the question explicitly asks for, such as to compare, to explain or to draft."""
    text = question[:READ]
    return sum(bool(pattern.search(text)) for pattern in _DEMANDS)
