"""Markdown for display: splits long texts into messages, and makes half-streamed texts displayable. Does no I/O."""

from bot.engine.markdown.inline import code_ranges
from bot.engine.markdown.rendered_blocks import divided
from bot.engine.markdown.size import Size, fitting_length, truncated, utf16_units
from bot.engine.markdown.split import MIN_LIMIT, NOTICE, Split, split
from bot.engine.markdown.streaming import displayable, stable_length

__all__ = [
    "MIN_LIMIT",
    "NOTICE",
    "Size",
    "Split",
    "code_ranges",
    "displayable",
    "divided",
    "fitting_length",
    "split",
    "stable_length",
    "truncated",
    "utf16_units",
]
