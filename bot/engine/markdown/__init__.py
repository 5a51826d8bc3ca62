"""Markdown for display: splits long texts into messages, and makes half-streamed texts displayable. Does no I/O."""

from bot.engine.markdown.inline import code_ranges
from bot.engine.markdown.split import MIN_LIMIT, NOTICE, Split, split
from bot.engine.markdown.streaming import displayable, stable_length

__all__ = ["MIN_LIMIT", "NOTICE", "Split", "code_ranges", "displayable", "split", "stable_length"]
