"""The texts of the admin page."""

from __future__ import annotations

from collections.abc import Sequence

SECTIONS = {
    "overview": "Overview",
    "costs": "Costs",
    "questions": "Questions",
    "gaps": "Gaps",
    "verified": "Verified answers",
    "documents": "Documents",
    "jobs": "Jobs",
    "people": "People",
    "connections": "Connections",
    "errors": "Errors",
}
"""The pages of the navigation, by their paths; ``overview`` is the page itself."""
SEARCH = "Search the questions"
SEARCH_BUTTON = "Search"
OLDER = "Older"
CSV = "CSV"
PLAYGROUND = "Conversations"
NAVIGATION = "Admin pages"
COSTS_BY_DAY = "Costs by day, in US dollars"
SHOWN_ROWS = 500
REST_IN_CSV = f"The first {SHOWN_ROWS} rows are shown. The CSV file has all of them."
NO_CALLS = "No model was called in this period."
NO_QUESTIONS = "No questions match."
NO_DOCUMENTS = "No documents yet. Add some with parley ingest."
NO_JOBS = "No background jobs."
NO_PEOPLE = "Nobody asked anything in this period."
NO_PROCESSES = "No running processes found."
NO_ERRORS = "Nothing failed in the last day."
NO_PASSAGES = "No passage was used."
UNKNOWN_QUESTION = "No question has this ID, or it is private."
NO_GAPS = "Every question of this period was answered well."
NO_PAIRS = "None found among the passages that were used in this period."
GAP_REASONS = {"unanswered": "Unanswered", "down": "Thumbs down", "low": "Low confidence", "repeated": "Asked often"}
NO_VERIFIED = "No verified answers yet. Write one below, or verify the answer to a question."
UNKNOWN_VERIFIED = "No verified answer has this ID."
WRITE_VERIFIED = "Write a verified answer"
VERIFY_ANSWER = "Verify this answer"
VERIFY = "Verify"
VERIFY_AGAIN = "Verify again"
REMOVE = "Remove"
QUESTION = "Question"
ALSO = "Other forms of the question, one a line"
ANSWER = "Answer, as Markdown. [1] marks the first source"
SOURCES = "Documents that it cites, one a line: ID, path or title"
UNTIL = "Until when it holds: 2027-01-31, 90d, 12w or never. Empty: PARLEY_VERIFIED_DAYS"
OWNER = "Name of the person who stands behind it"
CHANNEL = "ID of the channel that it is for. Empty: everybody"
AS_CASE = "As a case for parley eval answers (JSONL)"
AS_CASES = "As cases (JSONL)"
UTC = "Times are in UTC."
FILTERS = {
    "all": "All",
    "down": "Thumbs down",
    "unanswered": "Unanswered",
    "low": "Low confidence",
    "slow": "Slow",
    "refused": "Refused",
    "failed": "Failed",
    "outdated": "Outdated",
}


def outdated(since: str, documents: Sequence[str]) -> str:
    """Return what is said about an answer whose cited passages changed."""
    return f"Since {since}, what it cites has changed: {', '.join(documents)}"
