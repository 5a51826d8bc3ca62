"""Mails whose attachments Outlook packed into ``winmail.dat``, and texts that are there only as Rich Text."""

from __future__ import annotations

from email.message import EmailMessage

import pytest

from knowledge.parsing import parsers
from knowledge.parsing.document_builder import ParsedDocument
from knowledge.parsing.mail import compressed_rtf
from tests.knowledge.parsing import outlook_files
from tests.knowledge.tnef_files import (
    attached_file,
    attached_message,
    subject,
    text_as_rtf,
    uncompressed,
    winmail,
)

RTF = rb"{\rtf1\ansi\ansicpg1252 The gate of the caf\'e9 opens at six.\par The key hangs by the door.\par}"


def mail(packed: bytes, text: str = "") -> ParsedDocument:
    message = EmailMessage()
    message["From"], message["Subject"] = "eve@example.org", "Gate"
    message.set_content(text)
    message.add_attachment(packed, maintype="application", subtype="ms-tnef", filename="winmail.dat")
    return parsers.parse(message.as_bytes(), "gate.eml")


def test_packed_files_are_read_under_their_long_names() -> None:
    document = mail(
        winmail(
            attached_file(b"FEES~1.TXT", b"The fee of the lot is 12.", long="fees of lots – 2031.txt"),
            attached_file("käse.txt".encode("cp1252"), "Der Käse ist grün.".encode()),
        ),
        "See the files.",
    )
    assert document.text.endswith("See the files.\n\nAttached:\n- fees of lots – 2031.txt\n- käse.txt")
    assert [file.data.decode() for file in document.attached] == ["The fee of the lot is 12.", "Der Käse ist grün."]
    assert document.warnings == ()


def test_the_packed_text_is_read_if_the_mail_has_none() -> None:
    packed = winmail(subject(b"Gate"), text_as_rtf(RTF))
    assert mail(packed).text.endswith("The gate of the café opens at six.\nThe key hangs by the door.")
    assert mail(packed, "The gate opens at six.").text.count("six") == 1


def test_packed_messages_are_read_with_their_own_files() -> None:
    inner = winmail(subject(b"Older"), text_as_rtf(RTF), attached_file(b"lot.txt", b"The lot is red."))
    [older] = mail(winmail(attached_message(inner)), "See below.").attached
    inside = parsers.parse(older.data, older.name, older.content_type)
    assert "opens at six." in inside.text
    assert [(file.name, file.data) for file in inside.attached] == [("lot.txt", b"The lot is red.")]


def test_pictures_of_the_packed_text_are_no_attachments() -> None:
    picture = attached_file(b"logo.png", b"\x89PNG\r\n\x1a\n", content_id="logo@1", kind="image/png")
    assert mail(winmail(picture), "See below.").attached == ()


@pytest.mark.parametrize("kept", [4, 20, 60, 150])
def test_a_damaged_package_is_named_and_the_mail_is_read(kept: int) -> None:
    packed = winmail(attached_file(b"fees.txt", b"The fee of the lot is 12. " * 9))
    document = mail(packed[:kept], "See below.")
    assert document.warnings == (
        "attachment winmail.dat left out: it holds attachments in a damaged form (TNEF). "
        "Ask the sender to send them as files",
    )
    assert document.text.endswith("See below.")


def test_a_saved_message_with_rich_text_only_is_read() -> None:
    tree = outlook_files.message(subject="Gate", rtf=uncompressed(RTF), sender=("Ann", "ann@example.org"))
    document = parsers.parse(outlook_files.compound_file(tree), "gate.msg")
    assert document.text.endswith("The gate of the café opens at six.\nThe key hangs by the door.")


@pytest.mark.parametrize(
    ("packed", "text"),
    [
        (
            "2d0000002b0000004c5a4675f1c5c7a703000a007263706731323542320af32068656c090020627705b06c647d0a800fa0",
            b"{\\rtf1\\ansi\\ansicpg1252\\pard hello world}\r\n",
        ),
        ("1a0000001c0000004c5a4675e2d44b51410004205758595a0d6e7d010eb0", b"{\\rtf1 WXYZWXYZWXYZWXYZWXYZ}"),
    ],
)
def test_rich_text_is_decompressed_like_the_examples_of_the_specification(packed: str, text: bytes) -> None:
    assert compressed_rtf.decompress(bytes.fromhex(packed)) == text


@pytest.mark.parametrize("data", [b"", b"x" * 40, uncompressed(RTF)[:10]])
def test_damaged_rich_text_is_an_error_of_values(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        compressed_rtf.decompress(data)
