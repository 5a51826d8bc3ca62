"""Reads the parts and relationships of an Office Open XML package (DOCX, PPTX, XLSX), transitional or strict.

Elements and attributes are compared by their local names, because the strict and the transitional form of the standard
differ in their namespaces only.
"""

from __future__ import annotations

import io
import posixpath
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import IO, Any
from urllib.parse import unquote

from lxml import etree  # type: ignore[import-untyped]

from knowledge.errors import ParseError
from knowledge.parsing.zip_archives import DAMAGED

PACKAGE_ERRORS = (*DAMAGED, etree.LxmlError, KeyError, TypeError)
"""Errors that reading a damaged package raises."""
CELL_ERRORS = (ValueError, ArithmeticError, LookupError, TypeError, AttributeError)
"""Errors that interpreting the value or the format of a damaged cell raises."""

_STRICT = "http://purl.oclc.org/ooxml/"
_NAMESPACES = tuple(
    (f"{_STRICT}{strict}".encode(), f"http://schemas.openxmlformats.org/{other}".encode())
    for strict, other in (
        ("officeDocument/extendedProperties", "officeDocument/2006/extended-properties"),
        ("officeDocument/customProperties", "officeDocument/2006/custom-properties"),
        ("officeDocument/", "officeDocument/2006/"),
        ("wordprocessingml/", "wordprocessingml/2006/"),
        ("spreadsheetml/", "spreadsheetml/2006/"),
        ("presentationml/", "presentationml/2006/"),
        ("drawingml/", "drawingml/2006/"),
    )
)
"""The beginnings of namespaces in the strict form, and in the transitional form."""


@dataclass(frozen=True, slots=True)
class Relationship:
    """A link from one part to another. ``kind`` is the last part of its type, such as ``header`` or ``chart``."""

    kind: str
    target: str
    """The name of the part in the archive."""


class Package:
    """An open package. Reading a part raises one of ``PACKAGE_ERRORS`` if it is missing or damaged."""

    def __init__(self, data: bytes) -> None:
        self._archive = zipfile.ZipFile(io.BytesIO(data))
        self._relationships: dict[str, Mapping[str, Relationship]] = {}

    @cached_property
    def names(self) -> frozenset[str]:
        """The names of all parts."""
        return frozenset(self._archive.namelist())

    def xml(self, name: str) -> Any:
        """Return the root element of a part. Entities are not expanded. Raises ParseError if it declares some."""
        return parse_xml(self._archive.read(name))

    def read(self, name: str) -> bytes:
        """Return the bytes of a part."""
        return self._archive.read(name)

    def open(self, name: str) -> IO[bytes]:
        """Open a part for reading."""
        return self._archive.open(name)

    def relationships(self, name: str = "") -> Mapping[str, Relationship]:
        """Return the relationships of a part by ID; of the package itself without a name."""
        if name not in self._relationships:
            folder, file = posixpath.split(name)
            member = posixpath.join(folder, "_rels", f"{file}.rels")
            self._relationships[name] = dict(_relationships(self.xml(member), folder)) if member in self.names else {}
        return self._relationships[name]

    def related(self, name: str, kind: str) -> list[str]:
        """Return the names of the existing parts that a part has relationships of this kind to."""
        return [r.target for r in self.relationships(name).values() if r.kind == kind and r.target in self.names]


def parse_xml(data: bytes) -> Any:
    """Parse XML without expanding entities. Raises ParseError if it declares entities, and ``etree.LxmlError``."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, remove_comments=True, remove_pis=True)
    root = etree.fromstring(data, parser)
    dtd = root.getroottree().docinfo.internalDTD
    if dtd is not None and any(True for _ in dtd.iterentities()):
        raise ParseError("its XML declares entities, which are not allowed. Save it again")
    return root


def parse_events(package: Package, name: str, tags: tuple[str, ...]) -> Iterator[Any]:
    """Yield the elements with these local names of a large part, one after the other, without holding the part."""
    with package.open(name) as stream:
        wanted = [f"{{*}}{tag}" for tag in tags]
        for _, element in etree.iterparse(stream, events=("end",), tag=wanted, resolve_entities=False, no_network=True):
            yield element
            element.clear()
            while element.getprevious() is not None:
                del element.getparent()[0]


def transitional(data: bytes) -> bytes:
    """Return a package in the transitional form; one that already has this form is returned as it is.

    Libraries know the namespaces of this form only.
    """
    with zipfile.ZipFile(io.BytesIO(data)) as old:
        relationships = "_rels/.rels"
        if relationships not in old.namelist() or _STRICT.encode() not in old.read(relationships):
            return data
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as made:
            for member in old.infolist():
                content = old.read(member)
                if member.filename.endswith((".xml", ".rels", ".vml")):
                    for strict, other in _NAMESPACES:
                        content = content.replace(strict, other)
                made.writestr(member, content)
    return buffer.getvalue()


def local_name(element: Any) -> str:
    """Return the name of an element without its namespace; empty for anything that is not an element."""
    tag = element.tag
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""


def attribute(element: Any, name: str) -> str:
    """Return an attribute by its local name; empty if the element is None or has no such attribute."""
    if element is None:
        return ""
    value = element.get(name)
    if value is not None:
        return str(value)
    return next((str(v) for key, v in element.items() if key.rpartition("}")[2] == name), "")


def child(element: Any, *path: str) -> Any:
    """Return the first descendant along a path of local names; None if there is none or the element is None."""
    for name in path:
        if element is None:
            return None
        element = next((c for c in element if local_name(c) == name), None)
    return element


def children(element: Any, name: str) -> Iterator[Any]:
    """Yield the children with a local name."""
    return (c for c in element if local_name(c) == name) if element is not None else iter(())


def descendants(element: Any, *names: str) -> Iterator[Any]:
    """Yield the descendants with one of the local names, in document order."""
    yield from element.iter(*(f"{{*}}{name}" for name in names))


def is_on(element: Any) -> bool:
    """Return whether an on/off property is on. A property without a value is on."""
    return element is not None and attribute(element, "val").lower() not in ("0", "false", "off", "none")


def core_properties(package: Package) -> dict[str, str]:
    """Return the properties of the document, such as ``title`` and ``creator``; empty if they cannot be read."""
    try:
        parts = package.related("", "core-properties")
        return {local_name(c): (c.text or "").strip() for c in package.xml(parts[0])} if parts else {}
    except (*PACKAGE_ERRORS, ParseError):
        return {}


def _relationships(root: Any, folder: str) -> Iterator[tuple[str, Relationship]]:
    for element in root:
        target = attribute(element, "Target")
        if attribute(element, "TargetMode") != "External":
            name = target.lstrip("/") if target.startswith("/") else posixpath.normpath(posixpath.join(folder, target))
            kind = attribute(element, "Type").rpartition("/")[2]
            yield attribute(element, "Id"), Relationship(kind, unquote(name))
