"""Collects the addresses that an answer may link: those in the question and in what the answer is based on. Pure."""

from __future__ import annotations

from bot.engine.answer.attempt_state import Attempt
from bot.engine.answer.results import Results
from bot.engine.display.urls import urls_in


def allowed(attempt: Attempt, results: Results) -> frozenset[str]:
    """Return the addresses of the question and of the passages, or of the citations of a cached answer."""
    passages = attempt.journal.sent.passages if attempt.journal.sent else results.passages
    hit = results.lookup.hit
    cited = hit.citations if hit else ()
    return urls_in(
        attempt.turn.question,
        *(passage.text for passage in passages),
        *(passage.source for passage in passages),
        *(citation.quote for citation in cited),
        *(citation.source for citation in cited),
    )


def has_other_links(attempt: Attempt, results: Results) -> bool:
    """Return whether the answer has an address that is not allowed, and is therefore shown without a link."""
    hit = results.lookup.hit
    return bool(urls_in(hit.answer if hit else attempt.journal.text) - allowed(attempt, results))


def linked(attempt: Attempt, results: Results) -> list[str]:
    """Return the allowed addresses that the answer uses. They are stored, because later views lack the passages."""
    hit = results.lookup.hit
    return sorted(urls_in(hit.answer if hit else attempt.journal.text) & allowed(attempt, results))
