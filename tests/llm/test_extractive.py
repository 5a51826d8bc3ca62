"""The extractive answerer: the best quotes, literal and complete, with their markers."""

from __future__ import annotations

import asyncio
import re
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.engine.ports.llm import Ended, TextDelta
from bot.llm.quoting.extractive import ExtractiveLLM, compose
from bot.llm.quoting.quotable_pieces import Piece, pieces, sentences
from bot.llm.quoting.quote_selection import best_quotes
from bot.llm.quoting.sentence_ranking import key_sentences
from bot.llm.tokens import TokenCounter
from bot.llm.user_messages import EXTRACTIVE_INTRO, FACT_SAVED, NOTHING_FOUND, SAID_IN_THREAD
from bot.types.conversation import Fact
from bot.types.usage import Call
from knowledge import sample
from knowledge.search.followup_queries import carried_words
from knowledge.types.search_results import Sentence
from tests.llm.llm_requests import ask, passage, prompt

LEAVE = passage(
    "# Leave\n\nEverybody has 30 days of paid leave a year. Part-timers have a share of it, e.g. 15 days at 50 %.\n"
    "Unused days move to the next year and lapse on 31 March.\n\n"
    "- Ask your lead for leave in the portal, at least two weeks before.\n- Sick days are not leave.\n",
    heading=("Leave",),
)
TRAVEL = passage(
    "## Hotels\n\n| City | Limit a night |\n|---|---|\n| Berlin | 120 EUR |\n| Zurich | 210 EUR |\n\n"
    "Book hotels in the travel tool. Breakfast is paid by the company.",
    title="Travel policy",
    heading=("Hotels",),
)
DEPLOY = passage(
    "Deployments go out at noon. To roll back a deployment, run:\n\n```bash\nacme rollback --to previous\n```\n\n"
    "Tell the channel when you have rolled back.",
    title="Deployments",
)
ALL = (LEAVE, TRAVEL, DEPLOY)


def _texts(question: str) -> list[str]:
    return [quote.text for quote in best_quotes(question, ALL)]


def test_the_sentence_that_answers_comes() -> None:
    assert "Everybody has 30 days of paid leave a year." in _texts("How many days of leave do I have?")
    assert any("lapse on 31 March" in text for text in _texts("When do unused days lapse?"))
    assert any("portal" in text for text in _texts("How do I ask for leave?"))


def test_table_rows_code_and_items_stay_whole() -> None:
    assert "| Zurich | 210 EUR |" in _texts("What is the limit for a hotel in Zurich?")
    assert "```bash\nacme rollback --to previous\n```" in _texts("How do I roll back a deployment? Which command?")
    assert "Sick days are not leave." in _texts("Are sick days leave?")


def test_a_row_is_shown_with_the_header_of_its_table() -> None:
    shown = compose(prompt("What is the limit for a hotel in Zurich?", passages=ALL))
    assert "City, Limit a night: “Zurich | 210 EUR” [2]" in shown


def test_headings_rules_and_header_rows_are_not_quoted() -> None:
    found = [piece.text for one in ALL for piece in pieces(one.text)]
    assert not any(text.startswith("#") or "|---|" in text or "City" in text for text in found)


def test_abbreviations_do_not_cut_sentences() -> None:
    assert "Part-timers have a share of it, e.g. 15 days at 50 %." in [piece.text for piece in pieces(LEAVE.text)]
    assert sentences("Ask Dr. Meyer at No. 5. She knows.") == ["Ask Dr. Meyer at No. 5.", "She knows."]


def test_questions_and_bare_headings_lead_and_are_not_quoted() -> None:
    text = "LEAVE (2026)\n\nQ: How long is the notice?\nA: Two weeks, by mail.\n\nHotels\nThe limit is 160 EUR."
    assert pieces(text) == [
        Piece(
            "A: Two weeks, by mail.",
            "sentence",
            start=41,
            heading="LEAVE (2026)",
            question="Q: How long is the notice?",
            block=2,
        ),
        Piece("The limit is 160 EUR.", "sentence", start=72, heading="Hotels", block=4),
    ]
    [quote, *_] = best_quotes("How long is the notice?", [passage(text)])
    assert quote.text == "A: Two weeks, by mail."


def test_two_to_four_quotes_and_the_numbers_of_their_passages() -> None:
    for question in ("How many days of leave do I have?", "hotel leave deployment days limit portal"):
        quotes = best_quotes(question, ALL)
        assert 1 <= len(quotes) <= 4
        assert all(quote.text in ALL[quote.n - 1].text for quote in quotes)
    assert best_quotes("xyzzy plugh", ALL) == []


@pytest.mark.parametrize(("city", "limit"), [("Oslo", "180 EUR"), ("Ghent", "140 EUR"), ("Zurich", "220 EUR")])
def test_a_follow_up_is_answered_with_its_own_words_first(city: str, limit: str) -> None:
    page = sample.path() / "expenses-and-travel.md"
    hotels = page.read_text().partition("## Hotels")[2].partition("\n## ")[0]
    asked = f"And in {city}?"
    carried = carried_words(asked, ["How much may I spend on a hotel in London?"])
    first, *_ = best_quotes(asked, [passage(hotels, title="Expenses and travel", heading=("Hotels",))], carried)
    assert city in first.text
    assert limit in first.text


FAQ = passage(
    "QUESTIONS\n\nQ: May I bring a dog?\nA: Yes, on Mondays.\n\nQ: When is pay day?\nA: On the 25th of the month. "
    "Claims are paid on the 10th.\n\nQ: Is there a pension?\nA: Yes. The company pays 4 % of your salary.",
    title="FAQ",
)
OFFICES = passage(
    "## Offices\n\nWe have three offices and a fair number of kitchens.\n\n| Office | People |\n|---|---|\n"
    "| Ghent | 47 |\n| Lisbon | 17 |\n| Trondheim | 22 |\n",
    title="Welcome",
    heading=("Offices",),
)


def test_a_question_that_the_document_asks_is_followed_to_its_answer() -> None:
    answer = ["A: On the 25th of the month.", "Claims are paid on the 10th."]
    assert [quote.text for quote in best_quotes("When is pay day?", [FAQ])] == answer


def test_a_question_for_all_is_answered_with_the_whole_table() -> None:
    rows = [quote.text for quote in best_quotes("Which offices do we have?", [OFFICES])]
    assert rows == ["| Ghent | 47 |", "| Lisbon | 17 |", "| Trondheim | 22 |"]
    [row, *_] = best_quotes("How many people work in Lisbon?", [OFFICES])
    assert row.text == "| Lisbon | 17 |"


def test_a_file_without_vectors_does_not_lose_against_a_document_with_them() -> None:
    file = replace(passage("| City | Limit |\n|---|---|\n| London | 220 |\n", title="limits.xlsx"), document_id="")
    words = "You may spend up to 240 EUR a night on a hotel in London."
    document = replace(passage(words, title="Travel"), sentences=(Sentence(0, len(words), 0.6),))
    first, *_ = best_quotes("What is the limit in London?", [file, document])
    assert first.n == 1


def test_a_definition_comes_before_a_mention() -> None:
    glossary = passage("Datum readings are stored twice.\n\n**Datum** - the height that counts as zero.", title="Words")
    first, *_ = best_quotes("What is a datum?", [glossary])
    assert first.text.startswith("**Datum**")


def test_a_name_that_is_nowhere_is_covered_by_everywhere_else() -> None:
    limits = passage(
        "| City | Limit |\n|---|---|\n| Paris | 180 EUR |\n| everywhere else | 140 EUR |\n",
        title="Hotels",
        heading=("Limit",),
    )
    first, *_ = best_quotes("What is the limit in Berlin?", [limits])
    assert "140 EUR" in first.text
    first, *_ = best_quotes("What is the limit in Paris?", [limits])
    assert "180 EUR" in first.text


def test_what_is_superseded_is_quoted_only_if_nothing_in_force_answers() -> None:
    old = replace(passage("The hotel limit is 160 EUR in every city.", title="Travel 2024"), superseded=True)
    current = passage("The hotel limit is 140 EUR in Berlin.", title="Travel")
    texts = [quote.text for quote in best_quotes("What is the hotel limit?", [old, current])]
    assert texts == ["The hotel limit is 140 EUR in Berlin."]
    assert best_quotes("What is the hotel limit?", [old])[0].text == "The hotel limit is 160 EUR in every city."


def test_a_sentence_that_refers_back_counts_the_words_before_it() -> None:
    page = passage(
        "A hotfix skips the first stage. It needs two people: the author and an engineer.\n\nCakes are nice."
    )
    texts = [quote.text for quote in best_quotes("Who must agree to a hotfix?", [page])]
    assert texts[0] == "A hotfix skips the first stage. It needs two people: the author and an engineer."


def test_a_sentence_that_begins_by_referring_back_is_quoted_with_what_it_refers_to() -> None:
    page = passage(
        "Everybody has 28 days of holiday a year. From the fifth year it is 30 days. Ten of them are taken in one "
        "piece, because people who never leave cannot be replaced.\n\nThey are kind. Cakes are nice."
    )
    (quote,) = best_quotes("How many days of leave do I have?", [page])
    assert quote.text.startswith("Everybody has 28 days of holiday a year. From the fifth year it is 30 days. Ten")
    (alone,) = best_quotes("Who is kind?", [page])
    assert alone.text == "They are kind.", "what stands in another paragraph is not referred to"


@pytest.mark.parametrize("question", ["Leave after 5 years?", "What changes after five years?"])
def test_a_number_is_looked_for_with_what_it_counts(question: str) -> None:
    page = passage(
        "Ask Marit about leave. From the fifth year on there are 30 days.\n\n"
        "- Volunteering gives 5 days a year of leave.\n- Moving gives 1 day, once in two years, after which it is used."
    )
    assert "From the fifth year on there are 30 days." in best_quotes(question, [page])[0].text


def test_a_numbered_heading_is_no_list_item() -> None:
    found = pieces("4. Claims\nClaims are handed in within 30 days.\n\n1. first do this\n2. then do that")
    assert [(piece.kind, piece.text) for piece in found] == [
        ("sentence", "Claims are handed in within 30 days."),
        ("item", "first do this"),
        ("item", "then do that"),
    ]


def test_a_follow_up_keeps_the_subject_of_the_thread() -> None:
    own = passage("Sick notes are kept for a long time. The notice period is long, too.", title="Notices")
    carried = carried_words("And how long does it take?", ["How do I get parental leave?"])
    leave = passage("Parental leave takes 20 weeks. The office is closed on Sundays.", title="Leave")
    first, *_ = best_quotes("And how long does it take?", [own, leave], carried)
    assert first.text == "Parental leave takes 20 weeks."


@settings(deadline=None, max_examples=50)
@given(st.text(max_size=300), st.lists(st.text(min_size=1, max_size=300), min_size=1, max_size=4))
def test_every_quote_is_literal(question: str, texts: list[str]) -> None:
    passages = [passage(text) for text in texts]
    for quote in best_quotes(question, passages):
        assert quote.text in passages[quote.n - 1].text
        assert quote.text.strip()


def test_a_long_text_is_quick_and_nothing_is_quoted_twice() -> None:
    twice = best_quotes("How many days of leave?", (LEAVE, LEAVE))
    assert len({quote.text for quote in twice}) == len(twice)


async def test_it_says_that_it_quotes_and_marks_every_quote() -> None:
    llm = ExtractiveLLM(TokenCounter())
    asked = await ask(llm, prompt("How many days of leave do I have?", passages=ALL))
    opening, *quotes = asked.text.split("\n\n")
    assert opening == EXTRACTIVE_INTRO
    assert quotes
    assert all(re.search(r"\[[123]\]$", quote) for quote in quotes)
    assert len([event for event in asked.events if isinstance(event, TextDelta)]) > 3
    assert asked.events[-1] == Ended("complete", "extractive", "extractive")


async def test_it_costs_nothing_and_is_counted() -> None:
    llm = ExtractiveLLM(TokenCounter())
    [call] = (await ask(llm, prompt("How many days?", passages=ALL))).calls
    assert (call.provider, call.model, call.cost_usd, call.price_version) == (
        "extractive",
        "extractive",
        Decimal(0),
        "none",
    )
    assert call.usage.prompt_tokens > 0
    assert call.usage.completion_tokens > 0
    assert not call.estimated


async def test_without_passages_it_says_so() -> None:
    assert (await ask(ExtractiveLLM(TokenCounter()), prompt("How many days?"))).text == NOTHING_FOUND


async def test_stopping_is_metered() -> None:
    calls: list[Call] = []
    stream = ExtractiveLLM(TokenCounter()).stream(prompt("How many days?", passages=ALL), meter=calls.append)
    async with aclosing(stream) as events:
        async for _ in events:
            await asyncio.sleep(0)
            break
    assert [call.status for call in calls] == ["cancelled"]


def test_a_summary_is_made_of_the_messages_and_fits() -> None:
    talk = (
        "Ada: How many days of leave do we have?\nParley: Everybody has 30 days of paid leave a year.\n"
        "Ada: Fine.\nAda: And do unused leave days lapse?\nParley: Unused leave days lapse on 31 March."
    )
    made = compose(prompt(talk, purpose="summary", max_tokens=60))
    assert "31 March" in made
    assert len(made) <= 180
    assert all(sentence in talk for sentence in key_sentences([talk], 180))


def test_what_the_thread_holds_stands_before_what_the_documents_hold() -> None:
    fact = Fact("1", "t", "note", "s", "leave is 31 days this year", "ann", "Ann", datetime(2026, 11, 24, tzinfo=UTC))
    asked = replace(prompt(passages=(LEAVE,)), facts=(fact,))
    text = compose(asked)
    assert text.index("“leave is 31 days this year” (Ann, 24 November 2026)") < text.index("30 days of paid leave")
    assert compose(replace(prompt("Leave?"), facts=(fact,))).startswith(SAID_IN_THREAD)
    told = compose(replace(prompt("Remember that leave is 31 days."), told=("leave is 31 days",)))
    assert told == f"{FACT_SAVED}\n\n“leave is 31 days”"
