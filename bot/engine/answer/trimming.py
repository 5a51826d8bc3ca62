"""Calculates how much to cut from a prompt that exceeds the model's context. Does no I/O."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from bot.engine.answer import attached_context, prompt
from bot.engine.answer.attached_context import AttachedContext
from bot.engine.ports.llm import Prompt
from bot.errors import ContextTooLong

UNKNOWN_SHARE = 0.5
"""The share of history, passages and files that is kept if the server does not name its context."""
LARGEST_SHARE = 0.9
ANSWER_SHARE = 4
"""At least one of this many parts of a small context is for the answer."""
FRAME = 60
"""Tokens around the question: the tags and headings of the last message."""
MARGIN = 1.05
"""Local counts of tokens differ from the server's by a few percent after they are brought to its scale."""
_SCALES = (0.5, 3.0)
"""Smallest and largest ratio of the server's count to the local one that is believed."""


@dataclass(frozen=True, slots=True)
class Trim:
    """Limits in tokens for a prompt that is built again. ``attached`` is the share of files and thread that is kept."""

    history: int
    passages: int
    attached: float
    answer: int


@dataclass(frozen=True, slots=True)
class Window:
    """The context of a model, as its server named it.

    ``tokens`` are for prompt and answer together. ``scale`` is the server's count of a prompt divided by the local one.
    """

    tokens: int
    scale: float = 1.0

    def holds(self, request: Prompt, count: Callable[[str], int]) -> bool:
        """Return whether the prompt and its answer fit, as far as local counts tell."""
        return self.scale * prompt.size(request, count) + request.max_tokens <= self.tokens


def window_of(request: Prompt, error: ContextTooLong, count: Callable[[str], int]) -> Window | None:
    """Return the context that the error names; None if it names none."""
    if error.limit is None:
        return None
    size = max(1, prompt.size(request, count))
    return Window(error.limit, min(max((error.counted or size) / size, _SCALES[0]), _SCALES[1]))


def trim(
    request: Prompt, window: Window | None, *, question: str, attached: AttachedContext, count: Callable[[str], int]
) -> Trim | None:
    """Return the limits for a prompt that fits; None if even the question alone does not fit.

    ``window`` is the model's context. If it is unknown, half of everything but the question is kept.
    """
    size = prompt.size(request, count)
    files = count(attached.above) + sum(count(text) for _, text in attached.files)
    fixed = count(request.system) + count(question) + FRAME
    variable = max(1, size - fixed)
    answer, share = request.max_tokens, UNKNOWN_SHARE
    if window is not None:
        answer = min(answer, max(1, window.tokens // ANSWER_SHARE))
        share = min(LARGEST_SHARE, ((window.tokens - answer) / (window.scale * MARGIN) - fixed) / variable)
    if share <= 0:
        return None
    history = sum(count(message.text) for message in request.messages[:-1])
    passages = max(0, count(request.messages[-1].text) - count(question) - files - FRAME)
    return Trim(int(share * history), int(share * passages), share, answer)


def trimmed(attached: AttachedContext, share: float, count: Callable[[str], int]) -> AttachedContext:
    """Return the thread above and the files, each cut to a share of its tokens. Images stay."""
    above = attached_context.cut(attached.above, int(share * count(attached.above)), count, end=True)
    files = tuple((name, attached_context.cut(text, int(share * count(text)), count)) for name, text in attached.files)
    return replace(attached, above=above, files=tuple(file for file in files if file[1]))
