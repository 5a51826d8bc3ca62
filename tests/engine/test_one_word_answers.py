"""An answer of one word without a source, such as “Yes.” or “はい。”, is no answer."""

from __future__ import annotations

import pytest

from bot.engine import user_messages
from bot.engine.answer import prompt
from bot.engine.answer.citations import resolve
from bot.engine.answer.claim_support import says_nothing_alone
from bot.llm.quoting.quote_selection import best_quotes
from bot.types.turns import Outcome
from tests.engine.fakes import FakeStores, Library, Screen, Writer, passage, turn
from tests.engine.test_cached_answers import Shelf, engine
from tests.engine.test_engine import script

PARKING = passage("Parking in the yard is free for everybody.", 1)
BARE = ("Yes.", "No, you may not.", "はい。", "不可以。", "Ja!", "Oui", "네.", "हाँ", "نعم", "**Yes** [1]")


async def answered(*texts: str, passages: tuple[object, ...] = (PARKING,)) -> tuple[Outcome, Writer]:
    writer = Writer([script(text) for text in texts])
    library = Library(passages)  # type: ignore[arg-type]
    outcome = await engine(Shelf(), writer, FakeStores(), search=library).handle(turn("Is parking free?"), Screen())
    return outcome, writer


@pytest.mark.parametrize("bare", BARE)
async def test_a_bare_answer_is_asked_for_again_with_its_source(bare: str) -> None:
    outcome, writer = await answered(bare, "Parking in the yard is free [1].")
    assert (outcome.answer, len(outcome.citations)) == ("Parking in the yard is free [1].", 1)
    assert prompt.BARE_ANSWER not in writer.prompts[0].messages[-1].text
    assert prompt.BARE_ANSWER in writer.prompts[1].messages[-1].text


@pytest.mark.parametrize("bare", BARE)
async def test_a_second_bare_answer_is_refused(bare: str) -> None:
    outcome, writer = await answered("はい。", bare)
    assert outcome.refused == user_messages.BARE_ANSWER
    assert len(writer.prompts) == 2


@pytest.mark.parametrize("text", [user_messages.BARE_ANSWER, user_messages.NO_ANSWER])
def test_the_advice_can_be_followed_where_one_model_is_configured(text: str) -> None:
    assert "stronger" not in text


@pytest.mark.parametrize(
    "text", ["Parking is free.", "駐車場は無料です。", "The documents do not tell.", "Parken kostet nichts."]
)
async def test_a_sentence_is_an_answer(text: str) -> None:
    outcome, writer = await answered(text)
    assert (outcome.answer, len(writer.prompts)) == (text, 1)


@pytest.mark.parametrize("word", ["Parking.", "In the yard."])
async def test_a_word_of_a_passage_is_an_answer(word: str) -> None:
    outcome, writer = await answered(word)
    assert (outcome.answer, len(writer.prompts)) == (word, 1)


async def test_without_passages_a_word_is_an_answer() -> None:
    outcome, _ = await answered("Yes.", passages=())
    assert outcome.answer == "Yes."


def test_a_word_of_a_script_without_spaces_has_up_to_three_letters() -> None:
    assert says_nothing_alone("いいえ")
    assert not says_nothing_alone("できません")


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("副業はできますか？", "はい。"),
        ("Is parking free?", "Yes."),
        ("Ist das Parken frei?", "Ja."),
        ("这里可以停车吗？", "不行。"),
    ],
)
@pytest.mark.parametrize("between", ["\n", "\n\n"], ids=["lines", "paragraphs"])
def test_without_a_model_a_bare_answer_is_quoted_and_cited_with_its_question(
    question: str, answer: str, between: str
) -> None:
    page = passage(f"{question}{between}{answer}\n\nThe gate is blue.", 1)
    quote = best_quotes(question, [page])[0]
    assert quote.text == f"{question} {answer}"
    resolved = resolve(f"“{quote.text}” [1]", [page])
    assert [one.quote for one in resolved.citations] == [f"{question}{between}{answer}"]
