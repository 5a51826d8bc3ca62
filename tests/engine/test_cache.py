"""Which questions share a cached answer: wording rules, the learned threshold, and the bound from a sample."""

from __future__ import annotations

import pytest

from benchmarks.cache_rules import GROUPS, GUARDS, without
from benchmarks.make_paraphrase_data import pairs
from bot.engine import cache
from bot.engine.cache.english_questions import reduced
from bot.engine.cache.matching import Observation, chance, is_hit, same_wording, upper_bound
from knowledge.types.scope import Scope

SAME = (
    ("How do I reset my password?", "What's the best way to reset the password, please?"),
    ("How do I reset my password?", "hi, how can we reset the password"),
    ("How does one book a meeting room?", "how to book meeting rooms"),
    ("What steps do I take to rotate an API key?", "What are the steps to rotate API keys?"),
    ("What are the limits of the plan?", "What is the limit of our plan?"),
    ("What is the VPN address?", "What's the VPN address"),
    ("Who is on call?", "Who is actually on call?"),
    ("Why are there so many alerts?", "Why so many alerts?"),
    ("How many holidays do we get per year?", "how many holidays we get per year"),
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
    ("What is .NET?", "What is net?"),
    ("Who leads IT?", "Who leads it?"),
    ("Do employees pay for it?", "Do the employees pay for it?"),
    ("How do I log in?", "How do I log out?"),
    ("Which team beat Real Madrid?", "Which team did Real Madrid beat?"),
    ("What's in the box?", "What's on the box?"),
    ("Why?", "Why is the?"),
    ("What is the budget?", "What is the budget for?"),
    ("What is the staging server?", "What is on the staging server?"),
    ("What runs on Kafka?", "What runs Kafka?"),
    ("Who pays us?", "Who do we pay?"),
    ("What does Anna do?", "What is Anna?"),
    ("Can I delete any file?", "Can I delete my file?"),
    ("Can users delete files?", "Can I delete files?"),
    ("Who is responsible for Berlin?", "Who is responsible in Berlin?"),
    ("Do I get paid on holidays?", "Do I get paid holidays?"),
    ("How do I sign for a package?", "How do I sign a package?"),
    ("How do I scrape the data?", "How do I scrap the data?"),
    ("Can I quickly tell if it downloads a file?", "Can I tell if it quickly downloads a file?"),
    ("Should I take tea with milk or coffee with sugar?", "Should I take tea with sugar or coffee with milk?"),
    ("Should I take tea with milk or coffee with sugar?", "Should I take tea with coffee or milk with sugar?"),
    ("What goes with white wine and cheese?", "What goes with white cheese and wine?"),
    ("Can only admins delete rooms?", "Can admins delete only rooms?"),
    ("Who approves a change before the release and test?", "Who approves a release before the change and test?"),
    ("How do I move data from A to B and C?", "How do I move data from A and B to C?"),
    ("Before the release, who signs off?", "After the release, who signs off?"),
    ("Can a file be deleted by guests?", "Can I delete a file?"),
    ("Can a guest be deleted?", "Can a guest delete?"),
    ("Can guests be put on hold?", "Can guests put on hold?"),
    ("Can invoices be approved after sixty days?", "Can I approve invoices after sixty days?"),
    ("How do I stop and start the server?", "How do I start and stop the server?"),
    ("What happens if someone leaves?", "What happens if I leave?"),
    ("What should I do if it breaks?", "What should I do if this breaks?"),
    ("Who trains new hires?", "Who do new hires train?"),
    ("Can a bad person become good?", "Can a good person become bad?"),
    ("Does the app on Windows sync with the one on Mac?", "Does the app on Mac sync with the one on Windows?"),
)


@pytest.mark.parametrize(("one", "other"), SAME)
def test_the_same_question_in_other_words(one: str, other: str) -> None:
    assert same_wording(one, other), (reduced(one), reduced(other))
    assert same_wording(other, one)


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_questions_that_look_alike_and_are_not(one: str, other: str) -> None:
    assert not same_wording(one, other), reduced(one)
    assert not same_wording(other, one)


def test_no_generated_trap_is_a_hit_and_some_paraphrases_are() -> None:
    made = pairs(1500)
    hits = [line for line in made if is_hit(str(line["a"]), str(line["b"]), 1.0)]
    assert [line for line in hits if not line["same"]] == []
    assert len(hits) > 0.08 * sum(bool(line["same"]) for line in made)


@pytest.mark.parametrize("group", [group for group in GROUPS if group not in GUARDS])
def test_every_group_of_rules_adds_hits(group: str) -> None:
    assert all(same_wording(*pair) for pair in SAME)
    with without([group]):
        assert not all(same_wording(*pair) for pair in SAME)
    assert all(same_wording(*pair) for pair in SAME)


@pytest.mark.parametrize(
    "question",
    [
        "is it possible for a change prior to Friday",
        "Is it possible for",
        "and or",
        "from to",
        "How can be ed",
        "Which is best",
        "In, what",
        "that that",
        "---",
        "'s",
        "if you",
    ],
)
def test_a_fragment_is_reduced_like_a_question(question: str) -> None:
    assert reduced(question) == reduced(f"  {question}?")


def test_a_very_long_question_is_the_same_word_for_word_or_not_at_all() -> None:
    long = "How can the room be booked " * 4000
    assert same_wording(long, f"  {long}?")
    assert not same_wording(long, f"Please, {long} at last")


def test_a_question_that_may_need_the_thread_matches_only_word_for_word() -> None:
    assert not reduced("How do I find my phone?").points_back
    for question in ("What should I do if it breaks?", "Who said that?", "Can I delete that room?", "Is that so?"):
        assert reduced(question).points_back, question
        assert same_wording(question, question.lower())
        assert not same_wording(question, f"{question.rstrip('?')} exactly?")


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


def test_the_ground_covers_everything_but_the_question() -> None:
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
