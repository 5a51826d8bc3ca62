"""Messages that Outlook saves: the text, the people, attached files and messages, and damaged files."""

from __future__ import annotations

import pytest

from knowledge.errors import ParseError
from knowledge.parsing import parsers
from knowledge.parsing.isolation.sandbox import Parser
from knowledge.parsing.mail_attachments import parse_all
from knowledge.types.source_items import Fetched
from tests.knowledge.parsing.outlook_files import Tree, attached_message, attachment, compound_file, message

ANN, BOB = ("Ann Muñoz", "ann@example.org"), ("Bob, the Guard", "bob@example.org")


def read(tree: Tree) -> str:
    return parsers.parse(compound_file(tree), "mail.msg").text


def test_a_message_is_read_with_its_people_and_its_date() -> None:
    document = parsers.parse(compound_file(message(subject="Gate", body="It opens at six.\r\n", sender=ANN, to=BOB)))
    assert document.title == "Gate"
    assert "From: Ann Muñoz <ann@example.org>\nTo: " in document.text
    assert "bob@example.org" in document.text
    assert document.text.endswith("It opens at six.")
    assert document.metadata["date"] == "Mon, 03 Mar 2031 09:00:00 +0000"
    assert document.metadata["format"] == "msg"


def test_a_message_of_html_is_read_without_its_tags() -> None:
    page = "<html><body><p>Das Tor ist <b>grün</b>.</p></body></html>".encode()
    assert read(message(subject="Tor", html=page, sender=ANN)).endswith("Das Tor ist grün.")


def test_attached_files_and_messages_are_read_under_their_names() -> None:
    inner = message(subject="Older", body="It was red.", sender=BOB, embedded=True)
    long = ("The fee of the lot is 12. " * 300).encode()
    picture = attachment("logo.png", b"\x89PNG\r\n", "image/png", content_id="logo@1")
    files = (attachment("fees.txt", long, "text/plain"), attached_message(inner), picture)
    document = parsers.parse(compound_file(message(subject="Gate", body="See below.", sender=ANN, attachments=files)))
    assert document.text.endswith("See below.\n\nAttached:\n- fees.txt\n- Older.eml")
    fees, older = document.attached
    assert (fees.name, fees.data) == ("fees.txt", long)
    inside = parsers.parse(older.data, older.name, older.content_type)
    assert (inside.title, inside.text.endswith("It was red.")) == ("Older", True)
    assert document.warnings == ()


async def test_a_file_that_cannot_be_read_is_named(parser: Parser) -> None:
    files = (attachment("run.exe", b"MZ" + bytes(900)),)
    data = compound_file(message(subject="Gate", body="See below.", sender=ANN, attachments=files))
    [document] = await parse_all(parser.parse, Fetched("gate.msg", data))
    assert document.warnings[0].startswith("attachment run.exe left out: ")


@pytest.mark.parametrize("kept", [600, 1100, 2000])
def test_a_damaged_message_is_refused_with_what_to_do(kept: int) -> None:
    data = compound_file(message(subject="Gate", body="See below.", sender=ANN))
    cut = data[:kept] + "__properties_version1.0".encode("utf-16-le")
    with pytest.raises(ParseError, match="Save it as EML"):
        parsers.parse(cut, "mail.msg")
