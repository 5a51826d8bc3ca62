"""How much is read of what is attached to a mail, and that few warnings tell what is left out."""

from __future__ import annotations

import pytest

from bot import file_reader
from bot.engine.answer.attached_context import FILE_CHARS
from bot.engine.ports.attachment_reader import FileText
from bot.file_reader import FileReader
from knowledge.errors import ParseError
from knowledge.parsing import mail_attachments
from knowledge.parsing.isolation.worker_protocol import MAX_WARNINGS
from knowledge.parsing.mail_attachments import AttachmentLimits, attached_file, parse_all, with_left_out
from knowledge.types.documents import Document
from knowledge.types.source_items import Fetched
from tests.knowledge.ingest.test_mail_attachments import mail
from tests.knowledge.parsing.parsed_files import count_parsed

LONG = mail("Offer", *((f"plan{number}.txt", f"Number{number}. " * 3_000) for number in range(8)))


async def read_for_question() -> FileText:
    reader = FileReader()
    try:
        found = await reader("offer.eml", "message/rfc822", LONG.as_bytes())
    finally:
        await reader.aclose()
    assert isinstance(found, FileText)
    return found


async def test_no_more_is_read_for_a_question_than_the_model_gets(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed = count_parsed(monkeypatch)
    found = await read_for_question()
    assert len(found.text) == FILE_CHARS
    assert found.warnings == ("5 more attachments left out. Attach them as files",)
    assert parsed == ["offer.eml", *(f"offer.eml/plan{number}.txt" for number in range(3))]


async def test_attachments_of_a_question_are_read_for_a_limited_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_reader, "ATTACHMENTS_TIMEOUT", 0.0)
    parsed = count_parsed(monkeypatch)
    found = await read_for_question()
    assert found.text.endswith("- plan7.txt")
    assert found.warnings == ("8 more attachments left out. Attach them as files",)
    assert parsed == ["offer.eml"]


async def parse_refusing(fetched: Fetched) -> Document:
    """Return a document with 50 attached files, each of which cannot be read."""
    if fetched.uri != "box.mbox":
        raise ParseError("it is empty")
    files = tuple(attached_file(fetched, f"{number}.txt", b"", "") for number in range(50))
    return Document(fetched.uri, "Box", "Some text.", (), attached=files)


async def test_attachments_that_cannot_be_read_are_counted_in_few_warnings() -> None:
    [box] = await parse_all(parse_refusing, Fetched("box.mbox", b""))
    assert len(box.warnings) == MAX_WARNINGS
    assert box.warnings[0] == "attachment 0.txt left out: it is empty"
    assert box.warnings[-1] == "31 more attachments left out. Add them as files to see why"


async def test_attachments_after_too_many_others_are_counted_in_one_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mail_attachments, "MAX_DOCUMENTS", 2)
    [box] = await parse_all(parse_refusing, Fetched("box.mbox", b""))
    assert [one.partition(":")[0] for one in box.warnings] == [
        "48 attachments left out",
        "attachment 0.txt left out",
        "attachment 1.txt left out",
    ]


async def test_a_caller_who_wants_fewer_gets_no_warning_about_the_others() -> None:
    [box] = await parse_all(parse_refusing, Fetched("box.mbox", b""), AttachmentLimits(documents=0))
    assert box.warnings == ()


def test_warnings_of_the_file_itself_stay() -> None:
    own = tuple(f"sheet {number} left out" for number in range(MAX_WARNINGS))
    box = with_left_out(Document("box", "", "", (), warnings=own), ["attachment a left out", "attachment b left out"])
    assert box.warnings == (*own, "2 more attachments left out. Add them as files to see why")
