"""Parses pictures, such as photos and scans of documents: the text that is recognized in them, a page each."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image, ImageOps, ImageSequence

from knowledge.errors import NoTextError, ParseError
from knowledge.parsing.document_builder import Builder, ParsedDocument
from knowledge.parsing.ocr.recognized_pages import RecognizedPages
from knowledge.parsing.ocr.text_recognition import INSTALL, MAX_SIDE
from knowledge.parsing.parse_options import NO_OPTIONS, ParseOptions

MAX_PIXELS = 100_000_000
_ERRORS = (OSError, ValueError, SyntaxError, Image.DecompressionBombError, EOFError)
"""Errors that the library raises for a damaged picture."""
_FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP", "PPM")


def parse(data: bytes, options: ParseOptions = NO_OPTIONS) -> ParsedDocument:
    """Parse a picture. Raises NoTextError if it shows no text, or if pictures cannot be read here; ParseError."""
    if options.recognizer is None:
        raise NoTextError(f"it is a picture, whose text cannot be read here. {INSTALL}, or add the text itself")
    builder = Builder()
    pages = RecognizedPages(builder, options.recognizer)
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as picture:
            several = getattr(picture, "n_frames", 1) > 1 and picture.format == "TIFF"
            for number, frame in enumerate(ImageSequence.Iterator(picture) if several else (picture,), 1):
                builder.page = number if several else None
                pages.add(_pixels(frame), number)
    except _ERRORS:
        raise _damaged() from None
    pages.warn()
    parsed = builder.build()
    if not pages.recognized:
        raise NoTextError("it is a picture without text. Add the text itself")
    return parsed


def pixels_of(data: bytes, min_width: int, min_height: int) -> np.ndarray[Any, Any] | None:
    """Return the pixels of a picture as it is shown; None if it is smaller. Raises ParseError if it cannot be read."""
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as picture:
            return _pixels(picture) if picture.width >= min_width and picture.height >= min_height else None
    except _ERRORS:
        raise _damaged() from None


def _damaged() -> ParseError:
    return ParseError("it is a damaged or unusual picture. Save it as PNG and try again")


def _pixels(picture: Image.Image) -> np.ndarray[Any, Any]:
    """Return the pixels of a picture as it is shown: turned as the camera was held, on white, not wider than needed."""
    if picture.width * picture.height > MAX_PIXELS:
        raise ParseError(f"it has more than {MAX_PIXELS // 1_000_000} million pixels. Save a smaller one")
    narrow = min(picture.size)
    if narrow > MAX_SIDE:
        picture.draft("RGB", (picture.width * MAX_SIDE // narrow, picture.height * MAX_SIDE // narrow))
    upright = ImageOps.exif_transpose(picture)
    if "A" in upright.getbands() or "transparency" in upright.info:
        layer = upright.convert("RGBA")
        upright = Image.new("RGBA", layer.size, "white")
        upright.alpha_composite(layer)
    shown = upright.convert("RGB")
    scale = MAX_SIDE / shown.width
    if scale < 1:
        shown = shown.resize((MAX_SIDE, max(1, round(shown.height * scale))), Image.Resampling.LANCZOS)
    return np.asarray(shown)
