"""Parses electronic books (EPUB): the chapters in reading order."""

from __future__ import annotations

import posixpath
from dataclasses import replace
from urllib.parse import unquote

from knowledge.errors import ParseError
from knowledge.metadata import AUTHOR, DATE, LANGUAGE
from knowledge.parsing.document_builder import Builder, ParsedDocument
from knowledge.parsing.html import html_document
from knowledge.parsing.office.ooxml_package import (
    PACKAGE_ERRORS,
    Package,
    attribute,
    child,
    children,
    descendants,
    local_name,
)

_METADATA = {"creator": AUTHOR, "date": DATE, "language": LANGUAGE}


def parse(data: bytes) -> ParsedDocument:
    """Parse an EPUB file. Damaged chapters are left out. Raises ParseError if the book cannot be opened."""
    try:
        package = Package(data)
        book = attribute(next(descendants(package.xml("META-INF/container.xml"), "rootfile")), "full-path")
        root = package.xml(book)
    except (*PACKAGE_ERRORS, StopIteration):
        raise ParseError("it is damaged and cannot be opened. Download it again") from None
    about = {local_name(e): (e.text or "").strip() for part in children(root, "metadata") for e in part}
    files = {attribute(e, "id"): attribute(e, "href") for e in children(child(root, "manifest"), "item")}
    builder = Builder()
    for reference in children(child(root, "spine"), "itemref"):
        name = posixpath.normpath(
            posixpath.join(posixpath.dirname(book), unquote(files.get(attribute(reference, "idref"), "")))
        )
        _add_chapter(builder, package, name)
    metadata = {key: about[name] for name, key in _METADATA.items() if about.get(name)}
    return replace(builder.build(about.get("title", "")), metadata=metadata)


def _add_chapter(builder: Builder, package: Package, name: str) -> None:
    try:
        with package.open(name) as stream:
            parsed = html_document.parse_whole(stream.read())
    except (*PACKAGE_ERRORS, ParseError):
        builder.warn(f"the chapter {name} has no text or is damaged and was left out")
        return
    for block in parsed.blocks:
        text = parsed.text[block.start : block.end]
        if block.kind == "heading":
            builder.heading(len(block.heading) + 1, text)
        else:
            builder.add(block.kind, text)
