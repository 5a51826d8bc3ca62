"""Thread memory: selects recent messages and their summary, recalled old messages, and stated facts for the prompt."""

from __future__ import annotations

from bot.engine.memory.recall import FACT_SHARE, Remembered, compose, latest, note, recalled, transcript
from bot.engine.memory.relevance import about, is_small_talk, said_before
from bot.engine.memory.selection import (
    MESSAGE_SHARE,
    NOTHING,
    RECALL_SHARE,
    SUMMARY_TOKENS,
    VERBATIM_MESSAGES,
    Selected,
    asked_before,
    fits,
    leans_on_thread,
    select,
    shortened,
    standalone,
    to_summarize,
    without_markers,
)
from bot.engine.memory.stated_facts import Said, only_told, stated, subject
from bot.engine.memory.verified_facts import Claim, Quoted, Report, borne_out

__all__ = [
    "FACT_SHARE",
    "MESSAGE_SHARE",
    "NOTHING",
    "RECALL_SHARE",
    "SUMMARY_TOKENS",
    "VERBATIM_MESSAGES",
    "Claim",
    "Quoted",
    "Remembered",
    "Report",
    "Said",
    "Selected",
    "about",
    "asked_before",
    "borne_out",
    "compose",
    "fits",
    "is_small_talk",
    "latest",
    "leans_on_thread",
    "note",
    "only_told",
    "recalled",
    "said_before",
    "select",
    "shortened",
    "standalone",
    "stated",
    "subject",
    "to_summarize",
    "transcript",
    "without_markers",
]
