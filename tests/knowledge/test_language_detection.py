"""Tests the detection of languages: which ones are told apart, and that the model of the others takes no memory."""

from __future__ import annotations

import gc

import numpy as np
import pytest

from knowledge.text import language_detection
from knowledge.text.language_detection import CANDIDATES, UNKNOWN, detect_language

ALL_WEIGHTS_MB = 18
"""What py3langid's weights of all of its languages take."""


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("How many days of leave does everybody have?", "en"),
        ("Wie viele Tage Urlaub haben alle im Jahr?", "de"),
        ("¿Cuántos días de vacaciones tiene cada persona?", "es"),
        ("毎年の休暇は何日ありますか。", "ja"),
        ("https://example.com/a 12345 `code`", UNKNOWN),
    ],
)
def test_a_text_tells_its_language(text: str, language: str) -> None:
    assert detect_language(text) == language


def test_weights_of_languages_that_are_no_candidates_are_not_kept() -> None:
    identifier = language_detection._identifier()
    assert sorted(identifier.labels) == sorted(CANDIDATES)
    held = gc.get_referents(identifier)
    held += [one for inner in held if isinstance(inner, tuple) for one in inner]
    arrays = {id(one): one for one in held if isinstance(one, np.ndarray)}
    assert 1 < sum(one.nbytes for one in arrays.values()) / 2**20 < ALL_WEIGHTS_MB / 2
