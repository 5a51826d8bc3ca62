"""The meaning of a sentence counts as far as its model knows the language."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.llm.quoting.meaning_weight import meaning_weight
from bot.llm.quoting.quote_selection import best_quotes
from knowledge.packaged_models import MULTILINGUAL_MODEL, OFFLINE_MODEL
from knowledge.search.passage_merging import merge_group
from knowledge.types.search_results import Passage, Sentence
from tests.llm.llm_requests import passage

GATE = "大门每天早上六点由守卫打开。"
LAMP = "走廊的灯在冬天一直亮着。"
QUESTION = "大门几点打开？"


def stored(model: str, text: str = GATE + LAMP) -> Passage:
    """Return a passage whose second sentence is nearer to the question than the first."""
    sentences = (Sentence(0, len(GATE), 0.1), Sentence(len(GATE), len(text), 0.9))
    return replace(passage(text, title=""), sentences=sentences, embedding_model=model)


@pytest.mark.parametrize(("model", "first"), [(OFFLINE_MODEL, GATE), (MULTILINGUAL_MODEL, LAMP)])
def test_a_model_of_english_does_not_outweigh_the_words_of_another_script(model: str, first: str) -> None:
    half = f"大门{LAMP}"
    text = GATE + half
    found = replace(stored(model, text), sentences=(Sentence(0, len(GATE), 0.0), Sentence(len(GATE), len(text), 1.0)))
    assert best_quotes(QUESTION, [found])[0].text == (half if first == LAMP else first)


def test_meaning_counts_less_only_where_the_model_does_not_know_the_script() -> None:
    asked = {"The gate is open.": "When is the gate open?", "Das Tor ist auf.": "Wann ist das Tor auf?", GATE: QUESTION}
    english, german, chinese = (meaning_weight(one, [stored(OFFLINE_MODEL, text)]) for text, one in asked.items())
    assert english == german > chinese > 0
    assert len({meaning_weight(one, [stored(MULTILINGUAL_MODEL, text)]) for text, one in asked.items()}) == 1


def test_joined_passages_keep_the_model_of_their_sentences() -> None:
    plain = replace(stored(""), sentences=(), embedding_model="")
    assert merge_group([plain, stored(OFFLINE_MODEL)], GATE + LAMP).embedding_model == OFFLINE_MODEL
