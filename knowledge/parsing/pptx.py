"""Parses presentations (PPTX): each slide is a page under its title, with text, tables and speaker notes."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from typing import Any

import pptx
from lxml import etree  # type: ignore[import-untyped]
from pptx.exc import PythonPptxError

from knowledge.errors import ParseError
from knowledge.parsing.document_builder import Builder, ParsedDocument

MAX_SLIDES = 5_000
MAX_NESTING = 20
"""Levels of grouped shapes that are read."""


def parse(data: bytes) -> ParsedDocument:
    """Parse a PPTX file; ``page`` is the slide number. Raises ParseError if parts of it are missing or damaged."""
    builder = Builder()
    try:
        presentation = pptx.Presentation(io.BytesIO(data))
        slides = presentation.slides
        if len(slides) > MAX_SLIDES:
            raise ParseError(f"it has {len(slides)} slides, more than {MAX_SLIDES}; split it into smaller files")
        for number, slide in enumerate(slides, 1):
            _add_slide(builder, slide, number)
        title = str(presentation.core_properties.title or "").strip()
    except (PythonPptxError, ValueError, KeyError, AttributeError, zipfile.BadZipFile, OSError, etree.LxmlError):
        raise ParseError("it is damaged and cannot be opened; save it again in PowerPoint") from None
    return builder.build("" if title == "PowerPoint Presentation" else title)


def _add_slide(builder: Builder, slide: Any, number: int) -> None:
    builder.page = number
    title = slide.shapes.title
    heading = " ".join(title.text_frame.text.split()) if title is not None and title.has_text_frame else ""
    builder.heading(1, heading or f"Slide {number}")
    for shape in _shapes(slide.shapes, 0):
        if title is None or shape.shape_id != title.shape_id:
            _add_shape(builder, shape)
    if slide.has_notes_slide and slide.notes_slide.notes_text_frame is not None:
        notes = slide.notes_slide.notes_text_frame.text.replace("\v", "\n")
        if notes.strip():
            builder.add("paragraph", f"Notes: {notes}")


def _shapes(shapes: Any, depth: int) -> Iterator[Any]:
    """Yield the shapes in order, including the shapes inside groups."""
    for shape in shapes:
        if hasattr(shape, "shapes"):
            if depth < MAX_NESTING:
                yield from _shapes(shape.shapes, depth + 1)
        else:
            yield shape


def _add_shape(builder: Builder, shape: Any) -> None:
    if getattr(shape, "has_table", False):
        builder.table([[cell.text for cell in row.cells] for row in shape.table.rows])
    elif shape.has_text_frame:
        lines = [(p.level, " ".join(p.text.split())) for p in shape.text_frame.paragraphs]
        lines = [(level, line) for level, line in lines if line]
        if len(lines) == 1:
            builder.add("paragraph", lines[0][1])
        else:
            builder.add("list", "\n".join(f"{'  ' * level}- {line}" for level, line in lines))
