"""Collects the addresses that an answer may link: those in the question and in what the answer is based on. Pure."""

from __future__ import annotations

from bot.engine.answer.attempt_state import Attempt
from bot.engine.answer.results import Results
from bot.engine.display.urls import urls_in


def allowed(attempt: Attempt, results: Results) -> frozenset[str]:
    """Return the addresses of the question and of the passages, or of the citations of a cached answer.

    A verified answer may link what its owner wrote.
    """
    passages = attempt.journal.sent.passages if attempt.journal.sent else results.passages
    reused = results.reused
    cited = reused.citations if reused else ()
    written = (results.verified.answer,) if results.verified else ()
    return urls_in(
        attempt.turn.question,
        *written,
        *(passage.text for passage in passages),
        *(passage.source for passage in passages),
        *(citation.quote for citation in cited),
        *(citation.source for citation in cited),
    )


def has_other_links(attempt: Attempt, results: Results) -> bool:
    """Return whether the answer has an address that is not allowed, and is therefore shown without a link."""
    reused = results.reused
    return bool(urls_in(reused.answer if reused else attempt.journal.text) - allowed(attempt, results))


def linked(attempt: Attempt, results: Results) -> list[str]:
    """Return the allowed addresses that the answer uses. They are stored, because later views lack the passages."""
    reused = results.reused
    return sorted(urls_in(reused.answer if reused else attempt.journal.text) & allowed(attempt, results))
