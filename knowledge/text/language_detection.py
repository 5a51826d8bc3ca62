"""Detects the language of a text with py3langid, which ships its model.

The model is loaded for the first text. That takes 0.6 s of processor time, and 60 MB of memory from then on.

``knowledge.text.languages`` chooses stemmers by function words, as indexed terms depend on them; this module is for
what people are told. Does no I/O after the model is loaded.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable
from functools import lru_cache
from importlib.util import find_spec
from typing import Any

ENGLISH, UNKNOWN = "en", ""
LEAST_PROBABILITY = 0.7
"""A text is in a language if it is this likely among ``CANDIDATES``.

At this value, one of 1,153 English questions of four data sets, and none of 2,000 German, Spanish, Chinese, Arabic and
Hindi ones, was taken for another language. At least 98 % of each set told their own.
"""
CANDIDATES = ("ar bg ca cs da de el en es fa fi fr he hi hu id it ja ko nl no pl pt ro ru sv ta th tr uk vi zh").split()
"""ISO 639-1 codes. Rare languages are left out, since short texts are often taken for one of them."""
MAX_CHARS = 2000
"""Characters of a text that are looked at."""

_ONE_LOADS = threading.Lock()
_NOT_WORDS = re.compile(r"https?://\S+|`[^`]*`|[\W\d_]+")


def detect_language(text: str) -> str:
    """Return the ISO 639-1 code of a text's language, or UNKNOWN if the text does not tell.

    Addresses, code in backticks, digits and punctuation are ignored. UNKNOWN too if py3langid is not installed.
    """
    words = _NOT_WORDS.sub(" ", text[:MAX_CHARS]).strip()
    identifier = _identifier() if words else None
    if identifier is None:
        return UNKNOWN
    language, probability = identifier.classify(words)
    return str(language) if probability >= LEAST_PROBABILITY else UNKNOWN


def first_detected(texts: Iterable[str]) -> str:
    """Return the language of the first text that tells its own, or UNKNOWN."""
    return next((language for text in texts if (language := detect_language(text))), UNKNOWN)


def _identifier() -> Any:
    with _ONE_LOADS:
        return _loaded()


@lru_cache(maxsize=1)
def _loaded() -> Any:
    if find_spec("py3langid") is None:
        return None
    from py3langid.langid import MODEL_DIR, MODEL_FILE, LanguageIdentifier
    from py3langid.modelio import load_model

    weights, priors, languages, moves, rows, outputs = load_model(MODEL_DIR / MODEL_FILE)
    columns = [column for column, language in enumerate(languages) if language in CANDIDATES]
    # The library's own choice of languages keeps the weights of all of them: 20 MB.
    return LanguageIdentifier(
        weights[:, columns],
        priors[columns],
        [languages[column] for column in columns],
        moves,
        outputs,
        norm_probs=True,
        tk_row=rows,
    )
