"""Thread memory: selects recent messages and their summary, recalled old messages, and stated facts for the prompt."""

from __future__ import annotations

from bot.engine.memory.history_selection import (
    MESSAGE_SHARE,
    NOTHING,
    RECALL_SHARE,
    SUMMARY_TOKENS,
    VERBATIM_MESSAGES,
    Selected,
    asked_before,
    fits,
    select,
    shortened,
    to_summarize,
    without_markers,
)
from bot.engine.memory.recall import FACT_SHARE, Remembered, compose, latest, note, recalled, transcript
from bot.engine.memory.relevance import SmallTalk, earlier_statements, relevant_facts, small_talk
from bot.engine.memory.stated_facts import StatedFact, facts_only, stated, subject
from bot.engine.memory.verified_facts import Claim, Report, VerifiedFact, verify_claims

__all__ = [
    "FACT_SHARE",
    "MESSAGE_SHARE",
    "NOTHING",
    "RECALL_SHARE",
    "SUMMARY_TOKENS",
    "VERBATIM_MESSAGES",
    "Claim",
    "Remembered",
    "Report",
    "Selected",
    "SmallTalk",
    "StatedFact",
    "VerifiedFact",
    "asked_before",
    "compose",
    "earlier_statements",
    "facts_only",
    "fits",
    "latest",
    "note",
    "recalled",
    "relevant_facts",
    "select",
    "shortened",
    "small_talk",
    "stated",
    "subject",
    "to_summarize",
    "transcript",
    "verify_claims",
    "without_markers",
]
