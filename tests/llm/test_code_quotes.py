"""Without a model, a block of code with the question's words does not win against the sentence that answers."""

from __future__ import annotations

from bot.llm.quoting.quote_selection import best_quotes
from knowledge.types.search_results import Passage

CODE = "```python\n# how long the pump may run\npump.run(limit=LIMIT)\n```"
SENTENCE = "The pump runs for at most 40 minutes without a pause."


def first_quote(question: str, text: str) -> str:
    passage = Passage(1, "doc", text, "pumps.md", "Pumps", (), 0, len(text), None, 1.0)
    return best_quotes(question, [passage])[0].text


def test_a_sentence_that_answers_wins_against_code_that_has_more_words_of_the_question() -> None:
    text = f"# Limits\n\n{CODE}\n\n{SENTENCE}\n\nEvery hall has its own meter."
    assert first_quote("How long may the pump run?", text) == SENTENCE


def test_code_is_quoted_where_no_sentence_answers() -> None:
    code = "```bash\npumpctl restart --hall north\n```"
    text = f"# Restart\n\n{code}\n\nEvery hall has its own meter."
    assert first_quote("How do I restart the pumps of hall north with pumpctl?", text) == code
