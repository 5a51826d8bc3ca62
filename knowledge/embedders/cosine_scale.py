"""Puts the cosines of different embedding models on one scale, on which unrelated texts are near 0. Does no I/O.

The vectors of E5 models point into one direction: they were trained at a low temperature, so even unrelated texts have
cosines around .7 (https://huggingface.co/intfloat/multilingual-e5-small, FAQ). A fixed least cosine would let all pass.
"""

from __future__ import annotations

from knowledge.embedders.prefixes import is_e5
from knowledge.embedders.stored_vector_names import split_name

E5_UNRELATED = 0.75
"""The cosine of unrelated texts in multilingual-e5-small: .72 across languages and .76 within one, measured on 240
passages with 400 questions in each of four languages. The right passage has .79 across distant languages, and .87
within one.
"""


def comparable_cosine(model: str, cosine: float) -> float:
    """Return the cosine of two vectors of ``model`` on the common scale: 1 for equal texts, about 0 for unrelated ones.

    ``model`` is the name that the vectors are stored under.
    """
    unrelated = _unrelated(model)
    return (cosine - unrelated) / (1.0 - unrelated)


def own_cosine(model: str, comparable: float) -> float:
    """Return the cosine of ``model`` for one on the common scale, as the inverse of ``comparable_cosine``."""
    unrelated = _unrelated(model)
    return unrelated + comparable * (1.0 - unrelated)


def _unrelated(model: str) -> float:
    return E5_UNRELATED if is_e5(split_name(model)[0]) else 0.0
