"""Markdown as the display needs it: the only splitter, and what may be shown of a text that is still being written.

Pure: text in, text out.
"""

from bot.engine.markdown.inline import code_ranges
from bot.engine.markdown.split import MIN_LIMIT, NOTICE, Split, split
from bot.engine.markdown.unfinished import settled, visible

__all__ = ["MIN_LIMIT", "NOTICE", "Split", "code_ranges", "settled", "split", "visible"]
