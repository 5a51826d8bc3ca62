"""Which questions share an answer: the wording, the threshold that learns, and what a sample says of the rest."""

from __future__ import annotations

import pytest

from benchmarks.paraphrases import pairs
from bot.engine import cache
from bot.engine.cache.hits import Observation, chance, is_hit, same_wording, upper_bound
from bot.engine.cache.wording import reduced
from knowledge.types import Scope

SAME = (
    ("How do I reset my password?", "What's the best way to reset the password, please?"),
    ("How do I reset my password?", "hi, can you tell me how to reset my password"),
    ("What is the difference between SQL and NoSQL?", "What's the difference between NoSQL and SQL?"),
    ("How many vacation days do we get per year?", "How many days of holiday do I get per year?"),
    ("How much does a badge cost?", "What is the price of a badge?"),
    ("What time does the office open?", "When does the office open?"),
    ("Can I carry over holidays?", "Am I allowed to carry over holidays?"),
    ("Who is going to lead the project?", "Who will lead the project?"),
    ("How long does it take to learn Go?", "How much time does it take to learn Go?"),
    ("Wie viele Urlaubstage habe ich?", "wie viele urlaubstage habe ich"),
)
DIFFERENT = (
    ("How do I convert euros to dollars?", "How do I convert dollars to euros?"),
    ("How do I enable 2FA?", "How do I disable 2FA?"),
    ("What changed in version 1.10?", "What changed in version 1.1?"),
    ("Who is the CEO of Apple?", "Who was the CEO of Apple?"),
    ("Who manages Alice?", "Who does Alice manage?"),
    ("Is Python faster than Java?", "Is Java faster than Python?"),
    ("What must I do before the update?", "What must I do after the update?"),
    ("Can I work with a mentor?", "Can I work without a mentor?"),
    ("Why did the deploy fail?", "When did the deploy fail?"),
    ("Can I expense a taxi?", "Should I expense a taxi?"),
    ("What is the best way to earn money?", "What is the best way to earn money in India?"),
    ("What does the operator do?", "What does the operation do?"),
    ("What is C#?", "What is C++?"),
    ("Who leads IT?", "Who leads it?"),
    ("Do employees pay for it?", "Do the employees pay for it?"),
    ("How do I log in?", "How do I log out?"),
    ("Which team beat Real Madrid?", "Which team did Real Madrid beat?"),
    ("What's in the box?", "What's on the box?"),
    ("Why?", "Why is the?"),
)


@pytest.mark.parametrize(("one", "other"), SAME)
def test_the_same_question_in_other_words(one: str, other: str) -> None:
    assert same_wording(one, other), (reduced(one), reduced(other))
    assert same_wording(other, one)


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_questions_that_look_alike_and_are_not(one: str, other: str) -> None:
    assert not same_wording(one, other), reduced(one)
    assert not same_wording(other, one)


def test_no_trap_of_the_generator_is_a_hit_and_many_paraphrases_are() -> None:
    made = pairs(1500)
    hits = [line for line in made if is_hit(str(line["a"]), str(line["b"]), 1.0)]
    assert [line for line in hits if not line["same"]] == []
    assert len(hits) > 0.4 * sum(bool(line["same"]) for line in made)


def test_a_hit_needs_closeness_as_well() -> None:
    one, other = SAME[0]
    assert is_hit(one, other, 0.9)
    assert not is_hit(one, other, 0.5)


def test_an_entry_learns_from_rejected_and_accepted_hits() -> None:
    one, other = SAME[0]
    rejected = [Observation(0.9, right=False)]
    assert not is_hit(one, other, 0.9, rejected)
    assert chance(0.98, rejected) > chance(0.9, rejected)
    forgiven = rejected + [Observation(0.9, right=True)] * 20
    assert chance(0.9, forgiven) > chance(0.9, rejected)
    assert chance(0.75, [Observation(0.75, right=True)] * 5) > chance(0.75)


def test_the_bound_of_a_sample_narrows_with_its_size() -> None:
    assert upper_bound(0, 0) == 1.0
    assert upper_bound(0, 10) == pytest.approx(0.2589, abs=1e-3)
    assert upper_bound(0, 300) < 0.01
    assert upper_bound(3, 300) > upper_bound(0, 300)
    assert upper_bound(5, 5) == 1.0


def test_everything_but_the_question_is_the_ground() -> None:
    base = {"scope": Scope("t"), "prompt_version": "1", "model": "m", "persona": None}
    ground = cache.ground(**base)  # type: ignore[arg-type]
    for name, value in (
        ("scope", Scope("u")),
        ("scope", Scope("t", ("tenant", "C1"))),
        ("prompt_version", "2"),
        ("model", "n"),
        ("persona", "a pirate"),
    ):
        assert cache.ground(**(base | {name: value})) != ground  # type: ignore[arg-type]
    assert cache.key("Where is it?", ground) == cache.key("  where is it ", ground)
    assert cache.key("Where is it?", ground) != cache.key("Where was it?", ground)
