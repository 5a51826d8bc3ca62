"""What the worker process may answer about a document: every value is checked before it is used."""

from __future__ import annotations

import json
from typing import Any

import pytest

from knowledge.parsing import plain_text
from knowledge.parsing.document_builder import AttachedFile, ParsedDocument
from knowledge.parsing.isolation import worker_protocol
from knowledge.types.documents import Block

TEXT = "\n\n".join(f"Paragraph {number} has some words of its own." for number in range(200))
FILES = (AttachedFile("plan.pdf", b"%PDF-\x00\xff", "application/pdf"), AttachedFile("Größe/x.txt", b""))


def response(parsed: ParsedDocument) -> tuple[dict[str, Any], bytearray]:
    made = worker_protocol.document_response(parsed)
    return made.head, bytearray(b"".join(made.body))


def test_a_document_survives_the_way_from_the_worker() -> None:
    blocks = (Block("heading", 0, 5), Block("paragraph", 7, 12, ("One", "Two"), 3), Block("code", 12, 20, ("One",)))
    warnings = ("The sheet “Plan” is hidden, so it was left out.",)
    parsed = ParsedDocument("Ü", "Größe 漢 \N{GRINNING FACE} 1234567890", blocks, {"author": "Ann"}, warnings, FILES)
    assert worker_protocol.document_of(*response(parsed)) == parsed


def test_a_response_that_no_parser_makes_is_refused() -> None:
    parsed = ParsedDocument("T", "Some text.", (Block("paragraph", 0, 10, ("A",)),))
    for change in (
        {"sizes": [10, 7, 18, 2]},
        {"sizes": [-1, 20, 17, 2]},
        {"sizes": [10.0, 7, 17, 2]},
        {"sizes": [10, 7, 17]},
        {"title": 1},
        {"warnings": [1]},
        {"warnings": 1},
        {"warnings": ["a\0b"]},
    ):
        head, body = response(parsed)
        with pytest.raises((ValueError, TypeError), match=r"sizes|parts|values|text|many|subscriptable"):
            worker_protocol.document_of(head | change, body)
    for lines in ('[7, "A"]', '[-1, "A"]', '["0", "A"]', "[0, 1]", "0"):
        head, _ = response(parsed)
        body = bytearray(b"Some text." + lines.encode() + worker_protocol.BLOCK.pack(1, 0, 10, 1, -1) + b"[]")
        with pytest.raises((ValueError, TypeError), match=r"heading|text|unpack"):
            worker_protocol.document_of(head | {"sizes": [10, len(lines), 17, 2]}, body)
    for record in ((9, 0, 10, 0, -1), (1, 5, 5, 0, -1), (1, 0, 11, 0, -1), (1, 0, 10, 2, -1), (1, 0, 10, 0, -2)):
        body = bytearray(b"Some text." + worker_protocol.BLOCK.pack(*record) + b"[]")
        with pytest.raises(ValueError, match="no block"):
            worker_protocol.document_of({"title": "", "metadata": {}, "warnings": [], "sizes": [10, 0, 17, 2]}, body)


@pytest.mark.parametrize(
    "listed",
    [
        [["plan.pdf", "", 3]],
        [["plan.pdf", "", 5]],
        [["plan.pdf", "", -4], ["b", "", 8]],
        [["plan.pdf", "", 4.0]],
        [["", "", 4]],
        [["p" * 301, "", 4]],
        [["a\0b", "", 4]],
        [["a\nb", "", 4]],
        [["a\u2028b", "", 4]],
        [["plan.pdf\r", "", 4]],
        [["..", "", 4]],
        [["mails/../plan.pdf", "", 4]],
        [["./plan.pdf", "", 4]],
        [["/plan.pdf", "", 4]],
        [["mails//plan.pdf", "", 4]],
        [["mails/", "", 4]],
        [["plan.pdf", 7, 4]],
        [["plan.pdf", "", 2], ["plan.pdf", "", 2]],
        [["plan.pdf", 4]],
        {"plan.pdf": 4},
        7,
    ],
)
def test_attached_files_that_no_parser_makes_are_refused(listed: Any) -> None:
    head, body = response(ParsedDocument("T", "Some text.", (Block("paragraph", 0, 10),)))
    encoded = json.dumps(listed).encode()
    sizes = [*head["sizes"][:3], len(encoded)]
    with pytest.raises((ValueError, TypeError), match=r"attached|text|unpack|iterable"):
        worker_protocol.document_of(head | {"sizes": sizes}, body[:-2] + encoded + b"abcd")


def test_the_memory_of_a_text_is_known_before_it_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    for body in (
        "a" * 100,
        "é" * 100,
        "漢" * 100,
        "a" * 99 + "\N{GRINNING FACE}",
        "é漢\N{GRINNING FACE}" * 9,
        "\x7f\x80ÿĀ",
    ):
        width = 1 if max(body) < "\u0100" else 2 if max(body) < "\U00010000" else 4
        assert worker_protocol._text_memory(body.encode()) == width * len(body)
    monkeypatch.setattr(worker_protocol, "MAX_TEXT_BYTES", 150)
    head = {"title": "", "metadata": {}, "sizes": [103, 0, 0, 0]}
    with pytest.raises(ValueError, match="too much text"):
        worker_protocol.document_of(head, bytearray(b"a" * 99 + "\U0001f600".encode()))


@pytest.mark.parametrize(
    ("limit", "value", "said"),
    [
        ("MAX_TEXT_BYTES", 1000, "too much text"),
        ("MAX_BLOCKS", 10, "paragraphs"),
        ("MAX_HEADING_BYTES", 20, "headings"),
    ],
)
def test_a_document_that_is_too_large_is_refused_in_one_line(
    monkeypatch: pytest.MonkeyPatch, limit: str, value: int, said: str
) -> None:
    monkeypatch.setattr(worker_protocol, limit, value)
    parsed = plain_text.parse(TEXT[:5000])
    blocks = tuple(Block("paragraph", b.start, b.end, (f"Heading {n}",)) for n, b in enumerate(parsed.blocks))
    with pytest.raises(Exception, match=said) as refused:
        worker_protocol.document_response(ParsedDocument("", parsed.text, blocks))
    assert "Split it" in str(refused.value)
    assert "\n" not in str(refused.value)
