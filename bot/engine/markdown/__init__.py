"""Markdown for display: splits long texts into messages, and makes half-streamed texts displayable. Does no I/O."""

from bot.engine.markdown.inline import code_ranges
from bot.engine.markdown.split import MIN_LIMIT, NOTICE, Split, split
from bot.engine.markdown.split_by_blocks import split_by_blocks
from bot.engine.markdown.streaming import displayable, stable_length
from bot.engine.markdown.text_size import TextSize, fitting_length, truncated, utf16_units

__all__ = [
    "MIN_LIMIT",
    "NOTICE",
    "Split",
    "TextSize",
    "code_ranges",
    "displayable",
    "fitting_length",
    "split",
    "split_by_blocks",
    "stable_length",
    "truncated",
    "utf16_units",
]
