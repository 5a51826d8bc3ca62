"""Choice of the model tier, and the local classifier."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest

from bot.engine.ports.classifier import Verdict
from bot.engine.ports.llm import Meter
from bot.engine.routing import choice
from bot.engine.routing.features import READ, SHAPE, demands, shape
from bot.engine.routing.local_classifier import LocalClassifier
from bot.engine.routing.weights import Linear, Weights, shipped
from bot.types.settings import ChannelSettings
from bot.types.usage import BudgetState, Route, Tier
from knowledge.errors import EmbeddingError
from tests.engine.fakes import MIDNIGHT

SIMPLE = "When may dogs come to the office?"
HARD = (
    "Compare the two pension schemes for somebody who joined in 2019, left in 2021 and came back in 2023, "
    "and explain step by step which of them pays more, if neither of them had been changed meanwhile."
)


@dataclass
class FixedClassifier:
    """A classifier with a fixed verdict."""

    verdict: Verdict = Verdict("strong", True, "it is hard")
    asked: list[tuple[str, str]] = field(default_factory=list)

    async def __call__(self, question: str, *, query: str, meter: Meter) -> Verdict:
        self.asked.append((question, query))
        return self.verdict


@dataclass(frozen=True)
class Case:
    """The inputs of a routing decision."""

    wish: Tier | None = None
    channel: Tier | None = None
    used: int = 0
    fixed: Tier | None = None
    last: Tier | None = None
    same: bool = False

    async def choose(self, classifier: FixedClassifier) -> Route:
        return await choice.choose(
            "Why?",
            query="Why do dogs come?",
            wish=self.wish,
            channel=ChannelSettings(tier=self.channel),
            budget=BudgetState(self.used, 0, 100, MIDNIGHT),
            last=self.last,
            model=lambda tier: "only" if self.same else f"the {tier} one",
            classifier=classifier,
            meter=lambda _: None,
            fixed=self.fixed,
        )


EVERYTHING = Case(wish="strong", channel="cheap", used=80, fixed="strong", last="strong")


@pytest.mark.parametrize(
    ("case", "tier", "reason"),
    [
        (EVERYTHING, "strong", "asked for the strong model"),
        (replace(EVERYTHING, wish=None), "cheap", "the channel is set to the cheap model"),
        (replace(EVERYTHING, wish=None, channel=None), "cheap", "80% of the day's budget is spent"),
        (Case(fixed="strong", last="cheap"), "strong", "the operator has set every question to the strong model"),
        (Case(fixed="cheap", last="strong"), "cheap", "the operator has set every question to the cheap model"),
        (Case(last="strong"), "strong", "the thread uses the strong model, whose prompt cache is warm"),
        (Case(same=True), "cheap", "one model answers everything"),
    ],
)
async def test_the_first_rule_decides_without_the_classifier(case: Case, tier: Tier, reason: str) -> None:
    classifier = FixedClassifier()
    chosen = await case.choose(classifier)
    assert (chosen.tier, chosen.reason) == (tier, reason)
    assert classifier.asked == []


async def test_below_the_budget_limit_the_classifier_decides() -> None:
    classifier = FixedClassifier()
    assert await Case(used=79).choose(classifier) == Route("strong", "the strong one", "it is hard")
    assert classifier.asked == [("Why?", "Why do dogs come?")]


async def test_a_cheap_thread_changes_only_for_a_surely_hard_question() -> None:
    unsure = FixedClassifier(Verdict("strong", False, "it is rather hard"))
    assert (await Case().choose(unsure)).tier == "strong"
    stays = await Case(last="cheap").choose(unsure)
    assert stays.tier == "cheap"
    assert stays.reason == (
        "the thread stays with the cheap model, whose prompt cache is warm, though it is rather hard"
    )
    assert (await Case(last="cheap").choose(FixedClassifier())).tier == "strong"
    easy = FixedClassifier(Verdict("cheap", False, "it is simple"))
    assert (await Case(last="cheap").choose(easy)).reason == "it is simple"


# --- the local classifier


def linear(vector: Sequence[float] = (), quantiles: Sequence[float] = (0.0, 1.0)) -> Linear:
    """Weights that use only the vector."""
    return Linear(0.0, dict.fromkeys(SHAPE, 0.0), vector, quantiles)


def by_vector(*vector: float) -> Weights:
    return Weights("m", linear(vector), linear())


async def judged(classifier: LocalClassifier, question: str, query: str = "q") -> Verdict:
    return await classifier(question, query=query, meter=lambda _: None)


@pytest.mark.parametrize(
    ("share", "place", "tier", "sure"),
    [
        (0.4, 0.59, "cheap", False),
        (0.4, 0.6, "strong", False),
        (0.4, 0.79, "strong", False),
        (0.4, 0.81, "strong", True),
        (0.0, 1.0, "cheap", False),
        (1.0, 0.0, "strong", False),
    ],
)
async def test_the_strong_share_is_a_threshold_on_the_scores(
    share: float, place: float, tier: Tier, sure: bool
) -> None:
    async def encode(query: str) -> list[float]:
        return [place]

    verdict = await judged(LocalClassifier(share, encode, by_vector(1.0)), "?")
    assert (verdict.tier, verdict.sure) == (tier, sure)
    assert f"its score is {place:.2f}, and the strong model answers from {1 - share:.2f}" in verdict.reason


async def test_the_query_vector_is_computed_once() -> None:
    asked: list[str] = []

    async def encode(query: str) -> list[float]:
        asked.append(query)
        return [1.0]

    classifier = LocalClassifier(0.5, encode, by_vector(1.0))
    assert (await judged(classifier, "And there?", "And in London?")).tier == "strong"
    assert asked == ["And in London?"]
    assert "by its form only" in (await judged(classifier, "?", " ")).reason
    assert len(asked) == 1


async def test_without_a_fitting_vector_only_the_form_counts_and_the_reason_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def broken(query: str) -> list[float]:
        raise EmbeddingError("The model is not there.")

    async def of_another_size(query: str) -> list[float]:
        return [1.0, 1.0]

    for encode in (None, broken, of_another_size):
        verdict = await judged(LocalClassifier(0.5, encode, by_vector(1.0)), "?")
        assert verdict.tier == "cheap"
        assert verdict.reason.startswith("the question looks simple, by its form only: its score is 0.00")
    assert "The model is not there." in caplog.text


def test_the_shipped_weights_tell_simple_questions_from_hard_ones() -> None:
    weights = shipped()
    assert weights is shipped()
    assert len(weights.meaning.vector) == 384
    assert weights.score(SIMPLE) < 0.3 < 0.7 < weights.score(HARD)
    assert weights.score(HARD) == Weights.loads(weights.dumps()).score(HARD)
    longer = "The first rule was changed before the second one, and they are not the same. " * 4
    assert weights.score(SIMPLE) < weights.score(longer + SIMPLE)


def test_at_most_two_demands_count() -> None:
    weights = by_vector(1.0)
    assert [demands(text) for text in (SIMPLE, "Explain the rule", HARD)] == [0, 1, 3]
    assert [weights.score(text, [0.1]) for text in (SIMPLE, "Explain it", HARD)] == pytest.approx([0.1, 0.35, 0.6])
    assert weights.score(HARD, [0.9]) == 1.0


@pytest.mark.parametrize("text", ["", " \n", "?", "経費の精算はいつまでですか", "🙂" * 50, "\x00", "(" * 20_000])
def test_any_text_has_features(text: str) -> None:
    assert len(shape(text)) == len(SHAPE)
    assert 0.0 <= shipped().score(text) <= 1.0


def test_dense_scripts_have_words_and_long_texts_are_cut() -> None:
    assert shape("経費の精算はいつまで")[0] > shape("経費")[0]
    assert shape("word " * READ) == shape("word " * READ * 2)


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "{}",
        "not json",
        '{"embedding_model": "m", "meaning": {"bias": 0}, "form": {}}',
        by_vector(1.0).dumps().replace('"words"', '"letters"'),
        Weights("m", linear(), linear()).dumps().replace("1.0", "-1.0"),
    ],
)
def test_weights_that_do_not_fit_raise_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"weights|column"):
        Weights.loads(text)
