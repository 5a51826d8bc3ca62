"""Damaged ZIP archives: Office files, books and chat exports are read, or refused with a reason."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from hypothesis import strategies as st

from benchmarks.hostile_files import mutations, valid
from knowledge.errors import ParseError
from knowledge.parsing import parsers
from tests.fuzz.target import Target

_CONTAINER = (
    b'<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
    b'<rootfile full-path="a.opf" media-type="application/oebps-package+xml"/></rootfiles></container>'
)
_BOOK = (
    b'<package xmlns="http://www.idpf.org/2007/opf"><manifest><item id="a" href="a.xhtml" '
    b'media-type="application/xhtml+xml"/></manifest><spine><itemref idref="a"/></spine></package>'
)
_ODT = (
    b'<office:document-content xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" '
    b'xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0" '
    b'xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0"><office:body><office:text>'
    b'<text:h text:outline-level="1">Title</text:h><text:p>Words.</text:p><table:table><table:table-row>'
    b'<table:table-cell table:number-columns-repeated="2"><text:p>x</text:p></table:table-cell>'
    b"</table:table-row></table:table></office:text></office:body></office:document-content>"
)


def _archives() -> dict[str, bytes]:
    books = {
        "a.epub": valid.archive(
            {
                "mimetype": b"application/epub+zip",
                "META-INF/container.xml": _CONTAINER,
                "a.opf": _BOOK,
                "a.xhtml": b"<html><body><h1>Title</h1><p>Words.</p></body></html>",
            }
        ),
        "a.odt": valid.archive({"mimetype": b"application/vnd.oasis.opendocument.text", "content.xml": _ODT}),
    }
    return {name: data for name, data in valid.files().items() if data[:2] == b"PK"} | books


@contextmanager
def _opened() -> Iterator[Callable[[Any], None]]:
    archives = _archives()

    def check(seed: int) -> None:
        name, data = mutations.mutated(seed, archives)
        try:
            parsed = parsers.parse(data, name)
        except ParseError as refused:
            if not str(refused) or "\n" in str(refused):
                raise
        else:
            assert parsed.blocks

    for name, data in archives.items():
        assert parsers.parse(data, name).blocks, name
    yield check


ARCHIVES = Target("archives", st.integers(0, 2**48), _opened)
