"""Reads the form fields of a PDF page, each with its label beside or above it, and what was typed on the page."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from typing import Any

import pypdfium2.raw as pdfium

_MAX_FIELDS = 5000
"""Annotations that are read of a page."""
_NOT_SHOWN = pdfium.FPDF_ANNOT_FLAG_HIDDEN | pdfium.FPDF_ANNOT_FLAG_NOVIEW
_LABEL_HEIGHT = 16
"""Points above a field in which its label may stand."""
_TEXT_KINDS = (pdfium.FPDF_FORMFIELD_TEXTFIELD, pdfium.FPDF_FORMFIELD_COMBOBOX, pdfium.FPDF_FORMFIELD_LISTBOX)


def typed_texts(page: Any) -> list[str]:
    """Return the texts that were typed on the page, as into a form without fields. Hidden ones are left out."""
    return [shown for annotation in _annotations(page) if (shown := _typed_text(annotation))]


def _typed_text(annotation: Any) -> str:
    if pdfium.FPDFAnnot_GetSubtype(annotation) != pdfium.FPDF_ANNOT_FREETEXT:
        return ""
    if pdfium.FPDFAnnot_GetFlags(annotation) & _NOT_SHOWN:
        return ""
    return _entry(annotation, b"Contents")


def form_values(document: Any, page: Any, text: Any) -> Iterator[tuple[str, str]]:
    """Yield the label and the value of each field: the text, or ``yes`` or ``no`` for a check box.

    A radio button is yielded if it is chosen, with its own value. Fields without a value are left out. If the document
    has lost the list of its fields, as a single page of a form does, only the texts of the fields are known.
    """
    for annotation in _annotations(page):
        value = _typed_value(annotation) if document.formenv is None else _value(document.formenv, annotation)
        if value:
            yield _label(document, annotation, text), value


def _typed_value(annotation: Any) -> str:
    if pdfium.FPDFAnnot_GetSubtype(annotation) != pdfium.FPDF_ANNOT_WIDGET or _entry(annotation, b"FT") == "Btn":
        return ""
    return _entry(annotation, b"V")


def _annotations(page: Any) -> Iterator[Any]:
    """Yield the annotations of a page. Each is closed when the next one is asked for."""
    for index in range(min(pdfium.FPDFPage_GetAnnotCount(page), _MAX_FIELDS)):
        annotation = pdfium.FPDFPage_GetAnnot(page, index)
        if annotation:
            try:
                yield annotation
            finally:
                pdfium.FPDFPage_CloseAnnot(annotation)


def _value(form: Any, annotation: Any) -> str:
    kind = pdfium.FPDFAnnot_GetFormFieldType(form, annotation)
    if kind in _TEXT_KINDS:
        return _string(lambda *out: pdfium.FPDFAnnot_GetFormFieldValue(form, annotation, *out))
    if kind == pdfium.FPDF_FORMFIELD_CHECKBOX:
        return "yes" if pdfium.FPDFAnnot_IsChecked(form, annotation) else "no"
    if kind == pdfium.FPDF_FORMFIELD_RADIOBUTTON and pdfium.FPDFAnnot_IsChecked(form, annotation):
        return _string(lambda *out: pdfium.FPDFAnnot_GetFormFieldExportValue(form, annotation, *out)) or "yes"
    return ""


def _label(document: Any, annotation: Any, text: Any) -> str:
    """Return the text to the left of a field on its line, else the line above it, else the field's own name."""
    box = pdfium.FS_RECTF()
    if pdfium.FPDFAnnot_GetRect(annotation, box):
        left = _last_line(text.get_text_bounded(right=box.left, bottom=box.bottom, top=box.top))
        above = left or _last_line(
            text.get_text_bounded(left=box.left, right=box.right, bottom=box.top, top=box.top + _LABEL_HEIGHT)
        )
        if above:
            return above
    if document.formenv is None:
        return _entry(annotation, b"TU") or _entry(annotation, b"T")
    alternate = _string(lambda *out: pdfium.FPDFAnnot_GetFormFieldAlternateName(document.formenv, annotation, *out))
    return alternate or _string(lambda *out: pdfium.FPDFAnnot_GetFormFieldName(document.formenv, annotation, *out))


def _entry(annotation: Any, key: bytes) -> str:
    """Return the text of an entry of an annotation's dictionary."""
    return _string(lambda *out: pdfium.FPDFAnnot_GetStringValue(annotation, key, *out))


def _last_line(text: str) -> str:
    lines = [" ".join(line.split()) for line in text.splitlines() if line.strip()]
    return lines[-1].rstrip(" :_.") if lines else ""


def _string(read: Callable[..., int]) -> str:
    """Call a function of pdfium that writes UTF-16 into a buffer, first for the length, then for the text."""
    size = read(None, 0)
    if size <= 2:
        return ""
    buffer = ctypes.create_string_buffer(size)
    read(ctypes.cast(buffer, ctypes.POINTER(ctypes.c_ushort)), size)
    return " ".join(buffer.raw.decode("utf-16-le", "replace").rstrip("\0").split())
