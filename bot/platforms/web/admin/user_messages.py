"""The texts of the admin page."""

from __future__ import annotations

from collections.abc import Sequence

SECTIONS = {
    "overview": "Overview",
    "costs": "Costs",
    "budgets": "Budgets",
    "performance": "Speed and caches",
    "questions": "Questions",
    "gaps": "Gaps",
    "judged": "Judged answers",
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
NOTHING_JUDGED = "No answers were judged. PARLEY_JUDGE_SHARE sets the share."
NOTHING_FAILED = "The judge let every answer pass."
RATE_BY_DAY = "Pass rate by day, in percent"
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
    "cached": "From the cache",
    "outdated": "Outdated",
}
NO_ANSWERS_MEASURED = "No answers in this period."
NEWEST_MEASURED = "Measured are the newest {count:,} answers of the period."
BURN_RATE = (
    "The burn rate is the share of answers later than the p95 target, divided by the 5 % that may be later. Above 1, "
    "the objective is missed."
)
SET_BUDGET = "Set a daily limit"
SUBJECT = "Person's ID, channel:ID, role:admin, role:member, * (everyone), channel:* or tenant (the whole team)"
TOKENS = "Tokens a day: a number such as 200000 or 200k, unlimited, blocked, or default"
SET = "Set"
NO_LIMITS = "No limits are set. The defaults apply."
NO_CHANGES = "Nothing was changed yet."
NO_ALERTS = "No alerts in 90 days."
RETRY = "Retry"
STOP = "Stop"
NO_RUNS = "No source was read in the last 7 days."
JOB_GONE = "This job has ended or was changed in the meantime. The page shows its state now."
DOCUMENT_FILTERS = {"all": "All", "failed": "With a fault", "never": "Never cited"}
PLATFORMS = {"slack": "Slack", "discord": "Discord"}
CONNECTED = "connected"
NOT_CONNECTED = "not connected"
NOT_STARTED = "not started"
HOW_TO_START = {
    "slack": "Set SLACK_BOT_TOKEN and SLACK_APP_TOKEN, then start parley up or parley slack.",
    "discord": "Set DISCORD_TOKEN, then start parley up or parley discord.",
}
LEFT_BEHIND = "The process ended during the call. Its tokens are estimated."


def outdated(since: str, documents: Sequence[str]) -> str:
    """Return what is said about an answer whose cited passages changed."""
    return f"Since {since}, what it cites has changed: {', '.join(documents)}"


def at_least(amount: str) -> str:
    """Return an amount that leaves out calls of unknown price."""
    return f"at least {amount}"


MET = "met"
MISSED = "missed"
ACTION = "Action"
JOB_STATES = {"todo": "waiting", "doing": "running", "succeeded": "done"}
"""Labels of the job states on the page. Other states keep their own names."""
SPENT = "Spent"
ANSWERS = "Answers"
EACH_ANSWER = "An answer costs"
PRICE_UNKNOWN = "unknown"
CALLS = "Model calls"
SAVED = "Saved"
