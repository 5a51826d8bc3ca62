"""Estimates how likely passages contain the answer to a question, with a small logistic model. Does no I/O.

Some features come from one pass of the embedding model: cosines, and the best match of each of the question's tokens
among a passage's tokens. The other features come from words: which of the question's terms, names and numbers occur in
one passage, and in one of its sentences.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache, lru_cache
from importlib import resources
from itertools import pairwise
from typing import Any

import numpy as np

from knowledge import confidence_calibration
from knowledge.confidence_calibration import OTHER_LATIN, OTHER_SCRIPT
from knowledge.embedders.token_vectors import Signs, sign_cosines
from knowledge.packaged_models import MULTILINGUAL_MODEL, OFFLINE_MODEL
from knowledge.ports import Vectors
from knowledge.search.followup_queries import spoken_languages
from knowledge.search.named_rows import names_a_row
from knowledge.text import languages
from knowledge.text.search_terms import AskedWord, asked_words, document_terms, main_terms
from knowledge.text.sentence_splitter import sentence_spans
from knowledge.text.word_splitter import words

FILES = {OFFLINE_MODEL: "confidence.json", MULTILINGUAL_MODEL: "confidence_multilingual.json"}
"""The weights of each embedding model. Their thresholds are equal, so that they mean the same with every model."""
MAX_CHARS = 20_000
"""Maximum number of characters of a passage that are used."""
SPECIFIC_CHARS = 7
"""Minimum length of a word that counts as much as a name or a number."""

_NAME = re.compile(r"(?<![.!?]\s)(?<!^)\b[A-Z][\w-]*|\b\w*\d\w*\b")


@dataclass(frozen=True, slots=True)
class Evidence:
    """A passage as the model sees it. ``cosine`` and ``matches`` are None if the embedding model does not give them.

    ``matches`` has, for each token of the question, the best cosine among the passage's tokens.
    """

    text: str
    cosine: float | None = None
    matches: Sequence[float] | None = None


def matches(question: Vectors, signs: Signs) -> list[float]:
    """Return for each token of the question its best cosine among the passage's tokens, which are signs only."""
    if not len(question) or not len(signs):
        return []
    return [float(value) for value in sign_cosines(question, signs).max(axis=1)]


WORD_FEATURES = ("covered", "covered_by_sentence", "pairs", "named", "unnamed")
"""The largest share of the question's terms in one passage and in two adjacent sentences, of its pairs of terms, and of
its names; and whether the question has no names.
"""
EMBEDDING_FEATURES = ("cosine", "cosine_mean", "matched", "matched_weakest")
"""The best cosine and the mean cosine; the best mean of the tokens' matches, and of the weakest third of them."""


def word_features(question: str, evidence: Sequence[Evidence]) -> list[float]:
    """Return the features of the words, in the order of ``WORD_FEATURES``."""
    spoken = [one for one in spoken_languages(question) if one != languages.ENGLISH]
    asked = asked_words(question, spoken)
    names = {term for name in _NAME.findall(question) for term in main_terms(name)}
    weights = {word: _weight(word, names) for word in asked}
    named = {word: 1.0 for name in _NAME.findall(question) for word in asked_words(name, spoken)}
    total = sum(weights.values()) or 1.0
    terms = [_terms(one.text[:MAX_CHARS]) for one in evidence]
    return [
        max(_covered(weights, found) for found in terms) / total,
        max(_covered_by_sentence(weights, one.text[:MAX_CHARS]) for one in evidence) / total,
        max(_shared_pairs(asked, one.text[:MAX_CHARS]) for one in evidence),
        max(_covered(named, found) for found in terms) / len(named) if named else 0.0,
        float(not named),
    ]


def words_in_one_passage(question: str, texts: Sequence[str]) -> tuple[int, float]:
    """Return the number of a question's words, and the largest share of them that one text has.

    May load a word list, which takes seconds.
    """
    asked = asked_words(question, [one for one in spoken_languages(question) if one != languages.ENGLISH])
    most = max((_covered(dict.fromkeys(asked, 1.0), _terms(text[:MAX_CHARS])) for text in texts), default=0.0)
    return len(set(asked)), most / (len(set(asked)) or 1)


def embedding_features(evidence: Sequence[Evidence]) -> list[float] | None:
    """Return the features of the embedding model, in the order of ``EMBEDDING_FEATURES``.

    Returns None if a passage has no cosine or no matches.
    """
    cosines = [one.cosine for one in evidence if one.cosine is not None]
    rows = [one.matches for one in evidence if one.matches]
    if len(cosines) != len(evidence) or len(rows) != len(evidence):
        return None
    table = np.array(rows)
    weakest = np.sort(table, axis=1)[:, : max(1, table.shape[1] // 3)]
    return [
        max(cosines),
        sum(cosines) / len(cosines),
        float(table.mean(axis=1).max()),
        float(weakest.mean(axis=1).max()),
    ]


@dataclass(frozen=True, slots=True)
class LogisticModel:
    """A bias, and a slope for each feature by name."""

    bias: float
    slopes: Mapping[str, float]

    def probability(self, features: Sequence[float]) -> float:
        """Return the probability, 0 to 1, for features in the order of the slopes."""
        value = self.bias + sum(slope * one for slope, one in zip(self.slopes.values(), features, strict=True))
        return 1 / (1 + math.exp(-max(-50.0, min(50.0, value))))

    def with_scores_at(self, found: tuple[float, float], wanted: tuple[float, float]) -> LogisticModel:
        """Return the model that gives the probabilities ``wanted`` where this one gives those of ``found``."""
        (low, high), (least, most) = map(_log_odds, found), map(_log_odds, wanted)
        stretch = (most - least) / (high - low)
        slopes = {name: round(slope * stretch, 4) for name, slope in self.slopes.items()}
        return LogisticModel(round(least + stretch * (self.bias - low), 4), slopes)


@dataclass(frozen=True, slots=True)
class LanguageModels:
    """The models of one calibration of ``confidence_languages``, as those of ``Weights``."""

    meaning: LogisticModel
    words: LogisticModel

    def __post_init__(self) -> None:
        """Raise ValueError if the models were trained on other features."""
        if (
            tuple(self.meaning.slopes) != WORD_FEATURES + EMBEDDING_FEATURES
            or tuple(self.words.slopes) != WORD_FEATURES
        ):
            raise ValueError("the weights were trained on other features. Train them again")

    @classmethod
    def loads(cls, read: Mapping[str, Any]) -> LanguageModels:
        """Return the models from JSON."""
        return cls(*(LogisticModel(**read[name]) for name in ("meaning", "words")))


@dataclass(frozen=True, slots=True)
class Weights:
    """Two models: ``meaning`` uses the words and ``embedding_model``, ``words`` uses the words alone.

    They are for English. ``languages`` has those of other calibrations by name, in which the thresholds mean the same.

    Below ``threshold``, the passages are taken not to contain the answer; below ``weak_below``, they probably do not
    contain it. Raises ValueError if the features do not match.
    """

    embedding_model: str
    threshold: float
    weak_below: float
    meaning: LogisticModel
    words: LogisticModel
    languages: Mapping[str, LanguageModels] = field(default_factory=dict)

    def __post_init__(self) -> None:
        LanguageModels(self.meaning, self.words)

    def confidence(self, question: str, evidence: Sequence[Evidence]) -> float:
        """Return how likely the passages contain the answer, 0 to 1; 0 if there are no passages.

        It is at least ``threshold`` if the question names a row of a table in them, or is one word that they have: the
        meaning of a word alone says little, and one that the model has never read says nothing. So it is for a question
        in a language that no passage has, if only words are used: the right passage may share none of them.
        """
        if not evidence:
            return 0.0
        estimated = self._estimated(question, evidence)
        texts = [one.text[:MAX_CHARS] for one in evidence]
        if estimated < self.threshold and (_is_word_of(question, texts) or names_a_row(question, texts)):
            return self.threshold
        return estimated

    def _estimated(self, question: str, evidence: Sequence[Evidence]) -> float:
        words, embedding = word_features(question, evidence), embedding_features(evidence)
        calibration = confidence_calibration.calibration_of(question, [one.text for one in evidence])
        models = self.models_of(calibration)
        if embedding is None:
            known = models.words.probability(words)
            return max(known, self.threshold) if calibration == confidence_calibration.ACROSS else known
        return models.meaning.probability([*words, *embedding])

    def models_of(self, calibration: str) -> LanguageModels:
        """Return the models of a calibration; a language without its own has those of its script."""
        if not calibration or not self.languages:
            return LanguageModels(self.meaning, self.words)
        script = OTHER_SCRIPT if calibration in confidence_calibration.SCRIPT_LANGUAGES else OTHER_LATIN
        return self.languages.get(calibration) or self.languages[script]

    def dumps(self) -> str:
        """Return the weights as JSON with one entry per line, so that a diff is readable."""
        return json.dumps(asdict(self), indent=0) + "\n"

    @classmethod
    def loads(cls, text: str) -> Weights:
        """Parse what ``dumps`` returned. Raises ValueError."""
        try:
            read: dict[str, Any] = json.loads(text)
            others = {name: LanguageModels.loads(models) for name, models in read.pop("languages", {}).items()}
            return cls(
                **(read | {name: LogisticModel(**read[name]) for name in ("meaning", "words")}), languages=others
            )
        except (TypeError, KeyError) as error:
            raise ValueError(f"these are not the weights of a confidence model: {error}") from None


def _is_word_of(question: str, texts: Sequence[str]) -> bool:
    """Return whether a question is a single word that one of the texts has, in whatever spelling."""
    asked = main_terms(question)
    return len(words(question)) == 1 and bool(asked) and any(_terms(text).issuperset(asked) for text in texts)


def _log_odds(probability: float) -> float:
    return math.log(probability / (1 - probability))


@cache
def shipped(model: str = OFFLINE_MODEL) -> Weights:
    """Return the weights for an embedding model; those of the offline model if there are none for it."""
    file = FILES.get(model, FILES[OFFLINE_MODEL])
    return Weights.loads(resources.files(__package__).joinpath(file).read_text(encoding="utf-8"))


def _weight(word: AskedWord, names: Collection[str]) -> float:
    """Return the weight of a word of a question: specific ones (names, numbers, long words) count twice."""
    return 2.0 if word.main in names or len(word.main) >= SPECIFIC_CHARS or any(map(str.isdigit, word.main)) else 1.0


@lru_cache(maxsize=512)
def _terms(text: str) -> frozenset[str]:
    return frozenset(document_terms(text))


def _covered(weights: Mapping[AskedWord, float], found: frozenset[str]) -> float:
    return sum(weight * word.covered(found) for word, weight in weights.items())


def _covered_by_sentence(weights: Mapping[AskedWord, float], text: str) -> float:
    """Return the largest share that a sentence and the next one cover together."""
    found = [_terms(text[start:end]) for start, end in sentence_spans(text)]
    return max(
        (_covered(weights, one | other) for one, other in zip(found, [*found[1:], frozenset()], strict=False)),
        default=0.0,
    )


def _shared_pairs(asked: Sequence[AskedWord], text: str) -> float:
    """Return the share of the question's adjacent terms that are adjacent in the text as well."""
    pairs = set(pairwise(word.main for word in asked))
    if not pairs:
        return 0.0
    return len(pairs & set(pairwise(main_terms(text)))) / len(pairs)
