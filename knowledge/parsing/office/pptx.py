"""Parses presentations (PPTX): each slide is a page under its title, with text, tables, charts and diagrams.

Hidden slides and the notes of slides are left out, and a warning says so.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import pptx
from pptx.exc import PythonPptxError

from knowledge.errors import ParseError
from knowledge.parsing import superscripts
from knowledge.parsing.document_builder import Builder, ParsedDocument
from knowledge.parsing.embedded_pictures import EmbeddedPictures
from knowledge.parsing.office.ooxml_graphics import add_graphic
from knowledge.parsing.office.ooxml_package import (
    PACKAGE_ERRORS,
    Package,
    attribute,
    child,
    descendants,
    local_name,
    transitional,
)
from knowledge.parsing.parse_options import NO_OPTIONS, ParseOptions
from knowledge.whole_numbers import whole_number

MAX_SLIDES = 5_000
MAX_NAMED = 20
"""Slides that a warning names."""
MAX_NESTING = 20
"""Levels of grouped shapes that are read."""


def parse(data: bytes, options: ParseOptions = NO_OPTIONS) -> ParsedDocument:
    """Parse a PPTX file; ``page`` is the slide number. ``options.include_hidden`` adds hidden slides and notes.

    Raises ParseError if parts of the file are missing or damaged.
    """
    builder = Builder()
    try:
        data = transitional(data)
        presentation = pptx.Presentation(io.BytesIO(data))
        package = Package(data)
        pictures = EmbeddedPictures(builder, options.recognizer)
        slides = presentation.slides
        if len(slides) > MAX_SLIDES:
            raise ParseError(f"it has {len(slides)} slides, more than {MAX_SLIDES}. Split it into smaller files")
        hidden = [number for number, slide in enumerate(slides, 1) if slide.element.get("show") in ("0", "false")]
        with_notes = []
        for number, slide in enumerate(slides, 1):
            if options.include_hidden or number not in hidden:
                _add_slide(builder, slide, number, package, pictures)
                notes = _notes(slide)
                if notes and options.include_hidden:
                    builder.add("paragraph", f"Notes: {notes}")
                elif notes:
                    with_notes.append(number)
        title = str(presentation.core_properties.title or "").strip()
    except (PythonPptxError, AttributeError, *PACKAGE_ERRORS):
        raise ParseError("it is damaged and cannot be opened. Save it again in PowerPoint") from None
    pictures.warn()
    if not options.include_hidden:
        _warn(builder, "hidden slides", hidden)
        _warn(builder, "notes of slides", with_notes)
    return builder.build("" if title == "PowerPoint Presentation" else title)


def _warn(builder: Builder, what: str, slides: list[int]) -> None:
    if slides:
        more = f" and {len(slides) - MAX_NAMED} more" if len(slides) > MAX_NAMED else ""
        named = ", ".join(map(str, slides[:MAX_NAMED]))
        builder.warn(f"{what} left out: {named}{more}. Add them with --include-hidden")


def _notes(slide: Any) -> str:
    if not slide.has_notes_slide or slide.notes_slide.notes_text_frame is None:
        return ""
    return str(slide.notes_slide.notes_text_frame.text).replace("\v", "\n").strip()


def _add_slide(builder: Builder, slide: Any, number: int, package: Package, pictures: EmbeddedPictures) -> None:
    builder.page = number
    title = slide.shapes.title
    heading = " ".join(title.text_frame.text.split()) if title is not None and title.has_text_frame else ""
    builder.heading(1, heading or f"Slide {number}")
    for shape in _shapes(slide.shapes, 0):
        if title is None or shape.shape_id != title.shape_id:
            _add_shape(builder, shape)
            for part in _graphics(shape, slide):
                add_graphic(builder, package, part)
            for data in _pictures(shape, slide):
                pictures.add(data)


def _pictures(shape: Any, slide: Any) -> Iterator[bytes]:
    """Yield the pictures that a shape shows."""
    for element in descendants(shape.element, "blip"):
        identifier = attribute(element, "embed")
        if identifier in slide.part.rels and not slide.part.rels[identifier].is_external:
            yield slide.part.related_part(identifier).blob


def _graphics(shape: Any, slide: Any) -> Iterator[str]:
    """Yield the parts of the charts and diagrams that a shape shows."""
    for element in descendants(shape.element, "relIds", "chart"):
        identifier = attribute(element, "dm") or attribute(element, "id")
        if identifier in slide.part.rels and not slide.part.rels[identifier].is_external:
            yield str(slide.part.related_part(identifier).partname).lstrip("/")


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
        builder.table([[_cell_text(cell) for cell in row.cells] for row in shape.table.rows])
    elif shape.has_text_frame:
        lines = [(p.level, " ".join(_text(p).split())) for p in shape.text_frame.paragraphs]
        lines = [(level, line) for level, line in lines if line]
        if len(lines) == 1:
            builder.add("paragraph", lines[0][1])
        else:
            builder.add("list", "\n".join(f"{'  ' * level}- {line}" for level, line in lines))


def _cell_text(cell: Any) -> str:
    return "\n".join(_text(paragraph) for paragraph in cell.text_frame.paragraphs)


def _text(paragraph: Any) -> str:
    """Return the text of a paragraph with its fields and formulas."""
    pieces = descendants(paragraph._p, "t", "br")
    return superscripts.written("".join(" " if local_name(piece) == "br" else _piece(piece) for piece in pieces))


def _piece(element: Any) -> str:
    """Return the text of an element, marked if it is raised above the line."""
    raised = (whole_number(attribute(child(element.getparent(), "rPr"), "baseline")) or 0) > 0
    return superscripts.marked(element.text or "") if raised else element.text or ""
