"""Fits attached files and the thread above a question into the prompt's token budget. Does no I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bot.engine.ports.llm import Image
from bot.types.conversation import StoredAttachment

FILE_CHARS = 60_000
"""Maximum number of characters of one file that are stored with the thread."""
CUT_HERE = "\n(cut here: the file goes on)"


@dataclass(frozen=True, slots=True)
class AttachedContext:
    """Attachments and thread as the prompt shows them. ``files`` are (name, text), the question's own files last.

    ``own`` names all of the question's own files that have a text, also those that did not fit.
    """

    above: str = ""
    files: tuple[tuple[str, str], ...] = ()
    images: tuple[Image, ...] = ()
    own: tuple[str, ...] = ()

    @property
    def left_out(self) -> tuple[str, ...]:
        """The names of the question's own files that are not among ``files``."""
        shown = [name for name, _ in self.files]
        return tuple((Counter(self.own) - Counter(shown)).elements())

    @property
    def shortened(self) -> tuple[str, ...]:
        """The names of the question's own files of which only the beginning is among ``files``."""
        shown = self.files[len(self.files) - (len(self.own) - len(self.left_out)) :]
        return tuple(name for name, text in shown if text.endswith(CUT_HERE) or len(text) >= FILE_CHARS)

    def __bool__(self) -> bool:
        return bool(self.above or self.files or self.images)


NO_ATTACHED_CONTEXT = AttachedContext()


def fit(
    known: Sequence[StoredAttachment], budget: int, count: Callable[[str], int], images: tuple[Image, ...] = ()
) -> AttachedContext:
    """Cut attachments to ``budget`` tokens: the question's own files first, then the thread above, then older files."""
    texts = [one for one in known if one.text]
    newest = list(reversed(texts))
    ranked = sorted(newest, key=lambda one: (not one.own, one.kind != "thread"))
    fitted: dict[tuple[str, int], str] = {}
    own = max(1, sum(one.own for one in texts))
    for one in ranked:
        room = min(budget, max(budget // own, 200)) if one.own else budget
        text = cut(one.text or "", room, count, end=one.kind == "thread")
        if text:
            fitted[one.turn_id, one.position] = text
            budget -= count(text)
        own = max(1, own - one.own)
    above = "".join(fitted.get((one.turn_id, one.position), "") for one in texts if one.kind == "thread")
    files = [one for one in texts if one.kind == "file" and (one.turn_id, one.position) in fitted]
    files.sort(key=lambda one: one.own)
    named = tuple((one.name, fitted[one.turn_id, one.position]) for one in files)
    return AttachedContext(above, named, images, tuple(one.name for one in texts if one.own and one.kind == "file"))


def cut(text: str, budget: int, count: Callable[[str], int], *, end: bool = False) -> str:
    """Return the beginning of a text, or its ``end``, within ``budget`` tokens; empty if very little of it fits."""
    tokens = count(text)
    if tokens <= budget:
        return text
    if budget < 50:
        return ""
    kept = int(len(text) * budget / tokens * 0.95)
    while kept and count(text[:kept] if not end else text[-kept:]) > budget - 10:
        kept = int(kept * 0.9)
    return f"(earlier messages left out)\n{text[-kept:]}" if end else f"{text[:kept]}{CUT_HERE}"
