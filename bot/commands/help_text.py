"""Help of the slash commands: the summary and the arguments of each command, as ``/help`` lists them."""

from __future__ import annotations

HELP_INTRO = (
    "Mention me with a question, or send me a direct message. I answer from the team's documents and cite the "
    "passages. In a thread I remember what was said."
)

ASK_SUMMARY = "Ask a question; only you see the answer"
ASK_USAGE = "QUESTION"

INGEST_SUMMARY = "Add documents from web addresses, files or channels"
INGEST_USAGE = "[--here | --tenant] ADDRESS... (or attach files) | [--tenant] #CHANNEL | stop [mine]"

DOCS_SUMMARY = "List, show, delete and refresh documents"
DOCS_USAGE = (
    "[list [TEXT] [by age|size|state|title] [page N] | show ID | delete ID | "
    "refresh [ID [every 6h|never|default|--accept-removals]] | preview (attach files) | save [--tenant] ID | "
    "verify [--tenant] [--until DAY] ID]"
)

BUDGET_SUMMARY = "Show your token usage today; admins set limits"
BUDGET_USAGE = "[show SUBJECT | set SUBJECT TOKENS | list]"

COSTS_SUMMARY = "Show what the models cost"
COSTS_USAGE = "[30d] [by user|channel|model|purpose|day] [csv|chart]"

FEEDBACK_SUMMARY = "List answers with a thumb down and unanswered questions"
FEEDBACK_USAGE = "[7d] [all]"

WHY_SUMMARY = "Show how an answer was made"

ANSWER_ID_USAGE = "[ID of an answer]"

SOURCES_SUMMARY = "Show the sources of an answer, with each quote in context"

QUIET_SUMMARY = "Answer in this thread only when mentioned"
LISTEN_SUMMARY = "Answer follow-up questions in this thread again"

SUMMARIZE_SUMMARY = "Summarize this thread, or the last day of this channel, with links to the messages"
SUMMARIZE_USAGE = "[thread | day]"

STOP_SUMMARY = "Stop the answer in this thread"

MEMORY_SUMMARY = "Show or delete what I remember from this thread"
MEMORY_USAGE = "[forget N | forget all]"

SETTINGS_SUMMARY = "Show how I behave in this channel; admins change it"
SETTINGS_USAGE = (
    "[show | persona TEXT | tier cheap|strong|auto | sources PREFIX...|all | follow-ups on|off | auto-answer on|off | "
    "change-notices on|off | external on|off [PLACE] | reset]"
)

ADMIN_SUMMARY = "Change workspace settings: admins, model tier, pause"
ADMIN_USAGE = (
    "[show | grant PERSON | revoke PERSON | tier cheap|strong|auto | pause [NOTE] | resume | digest on|off | budgets | "
    "models]"
)

PRIVACY_SUMMARY = "Show, export or erase the data stored about you"
PRIVACY_USAGE = "[export | erase me [delete | keep]]"

HELP_SUMMARY = "Show this help"
