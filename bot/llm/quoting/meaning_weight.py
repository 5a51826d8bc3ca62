"""Decides how much the meaning of a sentence counts beside its words, by the embedding model and the script.

The offline model was trained on English: in another script than Latin, its cosines say next to nothing about which
sentence answers. The weights were chosen on the sample's questions, on questions over two documentations and handbooks
in four languages, and on XQuAD in English, German, Spanish, Chinese and Arabic (``benchmarks.quote_accuracy``).
"""

from __future__ import annotations

from collections.abc import Sequence

from knowledge import confidence_calibration
from knowledge.packaged_models import MULTILINGUAL_MODEL, OFFLINE_MODEL
from knowledge.types.search_results import Passage

_USUAL = 0.6
_MULTILINGUAL = 1.0
_OTHER_SCRIPT = 0.1


def meaning_weight(question: str, passages: Sequence[Passage]) -> float:
    """Return the weight of a cosine; the words of a question that a sentence has weigh 1 in total."""
    model = next((passage.embedding_model for passage in passages if passage.sentences), "")
    if model == MULTILINGUAL_MODEL:
        return _MULTILINGUAL
    if model == OFFLINE_MODEL:
        calibration = confidence_calibration.calibration_of(question, [passage.text for passage in passages])
        return _OTHER_SCRIPT if calibration in confidence_calibration.SCRIPT_LANGUAGES else _USUAL
    return _USUAL
