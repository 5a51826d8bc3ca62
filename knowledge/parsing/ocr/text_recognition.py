"""Reads the text in pictures (OCR) with the models that ``rapidocr`` carries, if ``parley[ocr]`` is installed.

The models read Latin, Chinese and Japanese scripts. They need about 4 seconds of processor time and 1.2 GB of memory
for a page of A4.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from knowledge.parsing.reading_order import Word, lines_of

if TYPE_CHECKING:
    import numpy as np

MAX_SIDE = 1600
"""Pixels of the longer side of a picture that is read at once; with more, the models need more memory."""
MAX_STRIPS = 20
"""Strips of ``MAX_SIDE`` that are read of a long picture, such as a screenshot of a whole page."""
MIN_CONFIDENCE = 0.6
"""A line that the models are less sure of is left out; it is seldom text."""
MIN_UPRIGHT = 0.8
"""A picture about whose lines the models are less sure is read turned, too. Upside down, they are about .6 sure."""
UPWARD = 1.5
"""A line that is so many times higher than wide goes up or down."""
BLANK_SPREAD = 12
"""Largest difference between the grey values of an empty page."""
MODULES = ("rapidocr", "onnxruntime", "cv2")
INSTALL = "Install parley[ocr] to read scans"


@dataclass(frozen=True, slots=True)
class Recognized:
    """The lines of a picture, and the mean certainty of the models about them, from 0 to 1."""

    lines: tuple[str, ...]
    confidence: float

    @property
    def percent(self) -> int:
        """The certainty in percent, rounded down."""
        return int(self.confidence * 100)


@cache
def is_installed() -> bool:
    """Return whether the extra is installed. Imports nothing of it."""
    return all(find_spec(name) is not None for name in MODULES)


def _nothing() -> None:
    return None


@dataclass(frozen=True, slots=True)
class _Line:
    word: Word
    score: float


@dataclass(slots=True)
class Recognizer:
    """Reads at most ``pages`` pictures; of a long one, each strip counts. Loads the models with the first one.

    ``before_models`` is called before they are loaded, and ``after_page`` after each picture.
    """

    pages: int
    before_models: Callable[[], None] = _nothing
    after_page: Callable[[], None] = _nothing
    _engine: Any = field(default=None, repr=False)

    def read(self, picture: np.ndarray[Any, Any]) -> Recognized | None:
        """Return the text of a picture: rows of pixels of 3 colours. None if the number of pages is used up."""
        if self.pages < 1:
            return None
        if int(picture.max()) - int(picture.min()) <= BLANK_SPREAD:
            return Recognized((), 1.0)
        if self._engine is None:
            self.before_models()
            self._engine = _load()
        lines: list[str] = []
        scores: list[float] = []
        for strip in _strips(picture):
            if self.pages < 1:
                break
            self.pages -= 1
            found = [one for one in self._upright(strip) if one.score >= MIN_CONFIDENCE and one.word.text]
            lines += lines_of([one.word for one in found])
            scores += [one.score for one in found]
            self.after_page()
        return Recognized(tuple(lines), sum(scores) / len(scores) if scores else 1.0)

    def _upright(self, picture: np.ndarray[Any, Any]) -> list[_Line]:
        """Return the lines of a picture, turned as it is read best, if it does not stand upright."""
        import numpy as np

        best = self._lines(picture)
        if not best or (_certainty(best) >= MIN_UPRIGHT and not _is_on_side(best)):
            return best
        certainty = 0.0 if _is_on_side(best) else _certainty(best)
        for quarters in (1, 3) if _is_on_side(best) else (2, 1, 3):
            turned = self._lines(np.ascontiguousarray(np.rot90(picture, quarters)))
            if turned and _certainty(turned) > certainty:
                best, certainty = turned, _certainty(turned)
            if certainty >= MIN_UPRIGHT:
                break
        return best

    def _lines(self, picture: np.ndarray[Any, Any]) -> list[_Line]:
        """Return the lines that the models find. The model that turns lines stays off: it turns upright ones too."""
        found = self._engine(picture, use_cls=False)
        if found.boxes is None:
            return []
        return [
            _Line(_word(box, text.strip()), float(score))
            for box, text, score in zip(found.boxes, found.txts, found.scores, strict=True)
        ]


def _load() -> Any:
    """Load the models, for one thread: several parsers use the cores better than several threads of one."""
    import cv2
    from rapidocr import RapidOCR

    cv2.setNumThreads(1)
    return RapidOCR(
        params={
            "EngineConfig.onnxruntime.intra_op_num_threads": 1,
            "EngineConfig.onnxruntime.inter_op_num_threads": 1,
            "Global.log_level": "critical",
            "Global.max_side_len": MAX_SIDE,
            "Rec.rec_batch_num": 2,
        }
    )


def _certainty(lines: Sequence[_Line]) -> float:
    """Return the mean certainty about the characters of lines."""
    characters = sum(len(line.word.text) for line in lines)
    return sum(line.score * len(line.word.text) for line in lines) / max(1, characters)


def _is_on_side(lines: Sequence[_Line]) -> bool:
    """Return whether most lines go up or down."""
    upward = sum(line.word.height > UPWARD * (line.word.right - line.word.left) for line in lines)
    return upward > len(lines) / 2


def _word(box: Sequence[Sequence[float]], text: str) -> Word:
    xs, ys = [float(x) for x, _ in box], [float(y) for _, y in box]
    return Word(text, min(xs), min(ys), max(xs), max(ys))


def _strips(picture: np.ndarray[Any, Any]) -> Sequence[np.ndarray[Any, Any]]:
    """Return the parts of a picture from top to bottom. A cut goes through a quiet row."""
    height, width = picture.shape[:2]
    most = max(MAX_SIDE, 2 * width)
    if height <= most:
        return [picture]
    unrest = picture.std(axis=(1, 2))
    strips: list[np.ndarray[Any, Any]] = []
    top = 0
    while top < height and len(strips) < MAX_STRIPS:
        end = min(top + most, height)
        if end < height:
            lowest = end - most // 4
            end = lowest + int(unrest[lowest:end].argmin())
        strips.append(picture[top:end])
        top = end
    return strips
