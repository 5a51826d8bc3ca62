"""Parsing of e-mails: which part is read, charsets, quotations, signatures and attachments."""

from __future__ import annotations

import io
from email.message import EmailMessage
from functools import partial

import openpyxl
import pytest

from knowledge.errors import ParseError
from knowledge.parsing.isolation.sandbox import Parser
from knowledge.parsing.mail import attached_files
from knowledge.parsing.mail.calendar_events import describe
from knowledge.parsing.mail_attachments import parse_all
from knowledge.types.documents import Document
from knowledge.types.source_items import Fetched

HEAD = "From: Eve <eve@example.org>\nTo: all@example.org\nSubject: Move\nDate: Mon, 4 May 2026 09:00:00 +0200\n"


def raw(content_type: str, body: bytes, *, head: str = HEAD) -> bytes:
    return f"{head}MIME-Version: 1.0\nContent-Type: {content_type}\n\n".encode() + body


def alternative(plain: str, html: str, boundary: str = "b1") -> bytes:
    parts = (("plain", plain), ("html", html))
    body = "".join(f"--{boundary}\nContent-Type: text/{kind}; charset=utf-8\n\n{text}\n" for kind, text in parts)
    return raw(f"multipart/alternative; boundary={boundary}", f"{body}--{boundary}--\n".encode())


async def read(parser: Parser, data: bytes, name: str = "mail.eml") -> Document:
    return await parser.parse(Fetched(name, data))


LONG = "<p>The office moves to Elm Street on 9 June, and every desk has a number on the new plan by then.</p>"


@pytest.mark.parametrize("plain", ["", "  \n", "This mail has an HTML part. Open it in your browser."])
async def test_html_is_read_when_the_plain_part_says_nothing(parser: Parser, plain: str) -> None:
    document = await read(parser, alternative(plain, f"<html><body>{LONG}</body></html>"))
    assert "9 June" in document.text
    assert "browser" not in document.text


async def test_plain_part_is_preferred_when_it_says_the_same(parser: Parser) -> None:
    document = await read(parser, alternative("We *move* on 9 June.", "<p>We move on 9 June.</p>"))
    assert document.text.endswith("We *move* on 9 June.")


async def test_every_text_part_is_read_in_order(parser: Parser) -> None:
    parts = "".join(f"--b1\nContent-Type: text/plain\n\nPart {name} of three.\n" for name in ("one", "two", "three"))
    document = await read(parser, raw("multipart/mixed; boundary=b1", f"{parts}--b1--\n".encode()))
    places = [document.text.index(f"Part {name}") for name in ("one", "two", "three")]
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("charset", "text"), [("windows-1251", "Отпуск длится 30 дней."), ("iso-8859-7", "Η άδεια είναι 30 μέρες.")]
)
async def test_charset_of_the_mail_is_believed_for_html(parser: Parser, charset: str, text: str) -> None:
    page = f'<html><head><meta charset="utf-8"></head><body><p>{text}</p></body></html>'
    document = await read(parser, raw(f"text/html; charset={charset}", page.encode(charset)))
    assert document.text.endswith(text)


async def test_unquoted_boundaries_and_raw_headers_are_read(parser: Parser) -> None:
    boundary = "----=_NextPart_000_01=.AB"
    data = alternative("The code is 8842.", "<p>The code is 8842.</p>", boundary)
    data = data.replace(b"Subject: Move", "Subject: Übergabe am Größten Platz".encode("cp1252"))
    document = await read(parser, data.replace(b"From: Eve <", "From: Zoë Müller <".encode("cp1252")))
    assert document.title == "Übergabe am Größten Platz"
    assert document.metadata["author"] == "Zoë Müller <eve@example.org>"
    assert document.text.endswith("The code is 8842.")


async def test_flowed_lines_are_joined(parser: Parser) -> None:
    document = await read(parser, raw("text/plain; format=flowed", b"One long \nsentence goes on.\nAnother line.\n"))
    assert document.text.endswith("One long sentence goes on.\nAnother line.")


QUOTING = """The rent is now 800 euros.

--\x20
Eve Adams
Room 12

On Tue, 5 May 2026 at 10:00, Max <max@example.org> wrote:
> I heard that the rent is 600 euros.
> Is that right?
"""


async def test_own_words_come_first_and_quotations_are_marked(parser: Parser) -> None:
    document = await read(parser, raw("text/plain", QUOTING.encode()))
    found = [(b.kind, document.text[b.start : b.end]) for b in document.blocks]
    assert found[2] == ("paragraph", "The rent is now 800 euros.")
    quotes = [text for kind, text in found if kind == "quote"]
    assert len(quotes) == 1
    assert "Max <max@example.org> wrote:" in quotes[0]
    assert "the rent is 600 euros" in quotes[0]
    assert ("paragraph", "Eve Adams\nRoom 12") in found


async def test_mailbox_reads_a_quoted_mail_once(parser: Parser) -> None:
    heard = "I heard that the rent is 600 euros.\nIs that right?\n"
    first = f"From max@example.org Tue May  5 10:00:00 2026\n{HEAD}\n{heard}\n"
    second = f"From eve@example.org Tue May  5 11:00:00 2026\n{HEAD}\n{QUOTING}\n"
    document = await read(parser, (first + second + second.replace("800", "900")).encode(), "rent.mbox")
    assert document.text.count("the rent is 600 euros") == 1
    assert document.text.count("Room 12") == 1
    assert "800 euros" in document.text


def with_attachments() -> EmailMessage:
    inner = EmailMessage()
    inner["Subject"] = "Minutes"
    inner.set_content("Kim takes the keys.")
    message = EmailMessage()
    message["From"], message["Subject"], message["Date"] = "eve@example.org", "Files", "Mon, 4 May 2026 09:00:00 +0200"
    message.set_content("See the files.")
    message.add_attachment(inner)
    message.add_attachment("Plan,Price\nTeam,12\n", subtype="csv", filename="prices.csv")
    message.add_attachment(b"\x89PNG\r\n\x1a\n", maintype="image", subtype="png", filename="logo.png")
    message.add_attachment(b"x\x9f>\x22" * 9, maintype="application", subtype="ms-tnef", filename="winmail.dat")
    event = "BEGIN:VCALENDAR\nBEGIN:VEVENT\nSUMMARY:Party\\, big\nDTSTART:20260601T170000Z\nEND:VEVENT\nEND:VCALENDAR\n"
    message.add_attachment(event, subtype="calendar", filename="invite.ics")
    return message


async def test_attachments_are_read_under_their_names_or_told(parser: Parser) -> None:
    document, minutes, prices = await parse_all(parser.parse, Fetched("mail.eml", with_attachments().as_bytes()))
    found = [document.text[b.start : b.end] for b in document.blocks]
    assert found[-2:] == [
        "Event: Party, big\nStarts: 2026-06-01 17:00 UTC",
        "Attached:\n- Minutes.eml\n- prices.csv\n- logo.png",
    ]
    assert (minutes.title, minutes.text) == ("Minutes", "Minutes\n\nKim takes the keys.")
    assert (prices.title, prices.text) == ("prices.csv", "| Plan | Price |\n| --- | --- |\n| Team | 12 |")
    assert [warning.split(" left out")[0] for warning in document.warnings] == [
        "attachment winmail.dat",
        "attachment logo.png",
    ]


@pytest.mark.parametrize("separator", ["\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029"])
def test_only_line_breaks_end_a_property_of_a_calendar(separator: str) -> None:
    event = (
        f"BEGIN:VEVENT\r\nSUMMARY:Party\r\nDESCRIPTION:Bring{separator}a \r\n cake.\r\nLOCATION:Oslo\r\nEND:VEVENT\r\n"
    )
    assert describe(event) == f"Event: Party\nDescription: Bring{separator}a cake.\nLocation: Oslo"


@pytest.mark.parametrize("name", ["mail.eml", "mail.mbox"])
async def test_hidden_parts_of_attachments_are_read_when_they_are_asked_for(parser: Parser, name: str) -> None:
    book = openpyxl.Workbook()
    book.active.append(["Plan", "Price"])
    book.create_sheet("Pay").append(["salary", 91000])
    book["Pay"].sheet_state = "hidden"
    saved = io.BytesIO()
    book.save(saved)
    message = EmailMessage()
    message["From"], message["Subject"], message["Date"] = "eve@example.org", "Files", "Mon, 4 May 2026 09:00:00 +0200"
    message.set_content("See the file.")
    message.add_attachment(saved.getvalue(), maintype="application", subtype="octet-stream", filename="pay.xlsx")
    separator = b"From eve@example.org Mon May  4 09:00:00 2026\n" if name.endswith("mbox") else b""
    mail = Fetched(name, separator + message.as_bytes())
    _, pay = await parse_all(parser.parse, mail)
    assert pay.warnings == ("hidden sheets left out: Pay. Add them with --include-hidden",)
    assert "91000" not in pay.text
    _, everything = await parse_all(partial(parser.parse, include_hidden=True), mail)
    assert "91000" in everything.text
    assert everything.warnings == ()


async def test_message_without_anything_to_read_is_refused(parser: Parser) -> None:
    with pytest.raises(ParseError, match="no text"):
        await read(parser, raw("multipart/mixed; boundary=b1", b"--b1\nContent-Type: text/plain\n\n\n--b1--\n"))


@pytest.mark.parametrize(
    ("given", "shown"),
    [("..", "attachment"), ("a/..", "attachment"), ("a\u2028b.txt", "a b.txt"), ("...txt", "...txt"), (". .", ". .")],
)
def test_the_name_of_an_attached_file_is_one_line_and_no_way_up(given: str, shown: str) -> None:
    message = EmailMessage()
    message.add_attachment("Words.", filename="x")
    [part] = message.iter_attachments()
    part.set_param("filename", given, header="Content-Disposition")
    assert attached_files.name_of(part) == shown
