"""Without a model, the quotes for a question with parts stand below the label of their part."""

from __future__ import annotations

from bot.engine.ports.llm import Prompt, PromptPart
from bot.llm import user_messages
from bot.llm.quoting.extractive import compose
from bot.llm.quoting.quote_selection import quotes_by_part
from knowledge.types.search_results import Passage


def passage(text: str, document: str, start: int = 0) -> Passage:
    return Passage(1, document, text, f"{document}.md", document, (), start, start + len(text), None, 1.0)


LONDON = passage("A hotel in London may cost 220 EUR.", "london")
GHENT = passage("A hotel in Ghent may cost 140 EUR.", "ghent")
BOTH = passage("The limits of London and of Ghent are 220 and 140 EUR.", "both")


def part(label: str, *passages: Passage) -> PromptPart:
    return PromptPart(f"What may a hotel cost in {label}?", label, passages)


def answer(*parts: PromptPart, passages: tuple[Passage, ...]) -> str:
    question = "What may a hotel cost in London or in Ghent?"
    return compose(Prompt("answer", "cheap", "", (), 100, question=question, passages=passages, parts=parts))


def test_each_part_is_answered_below_its_label_with_the_number_of_the_prompt() -> None:
    parts = part("London", LONDON, GHENT), part("Ghent", GHENT, LONDON)
    lines = answer(*parts, passages=(GHENT, LONDON)).split("\n\n")
    assert lines == [
        user_messages.EXTRACTIVE_INTRO,
        "**London**",
        f"“{LONDON.text}” [2]",
        "**Ghent**",
        f"“{GHENT.text}” [1]",
    ]


def test_one_quote_that_answers_all_parts_has_no_labels() -> None:
    parts = part("London", BOTH), part("Ghent", BOTH)
    assert quotes_by_part(parts, (BOTH,)) == []
    assert answer(*parts, passages=(BOTH,)).split("\n\n") == [user_messages.EXTRACTIVE_INTRO, f"“{BOTH.text}” [1]"]


def test_what_was_found_for_a_part_but_is_not_in_the_prompt_is_not_quoted() -> None:
    parts = part("London", LONDON), part("Ghent", GHENT)
    assert "140 EUR" not in answer(*parts, passages=(LONDON,))
