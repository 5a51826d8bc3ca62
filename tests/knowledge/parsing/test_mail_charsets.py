"""Charsets of mails and of the files attached to them mean what the encoding standard says."""

from __future__ import annotations

import pytest

from knowledge.parsing import parsers
from knowledge.parsing.isolation.sandbox import Parser
from knowledge.parsing.mail import tnef
from knowledge.parsing.mail_attachments import parse_all
from knowledge.types.source_items import Fetched
from tests.knowledge.parsing import outlook_files
from tests.knowledge.tnef_files import attached_file, winmail

HEAD = "From: eve@example.org\nSubject: Prices\nMIME-Version: 1.0\n"
CHARSETS = pytest.mark.parametrize(
    ("stated", "written_in", "text"),
    [
        ("iso-8859-1", "cp1252", "The plan “Team” costs 12 € – per month."),
        ("us-ascii", "utf-8", "The plan “Team” costs 12 € – per month."),
        ("gb2312", "gb18030", "朱镕基的办公室在三楼，周一开门。"),
        ("shift_jis", "cp932", "事務所は①番出口の近く、㈱山田の隣です。"),
    ],
)


@CHARSETS
async def test_the_text_of_a_mail_is_read_in_the_charset_that_is_meant(
    parser: Parser, stated: str, written_in: str, text: str
) -> None:
    mail = f"{HEAD}Content-Type: text/plain; charset={stated}\n\n".encode() + text.encode(written_in)

    assert (await parser.parse(Fetched("mail.eml", mail))).text.endswith(text)


@CHARSETS
@pytest.mark.parametrize(("kind", "name"), [("text/plain", "prices.txt"), ("text/markdown", "prices.md")])
async def test_an_attached_text_is_read_in_the_charset_that_is_meant(
    parser: Parser, stated: str, written_in: str, text: str, kind: str, name: str
) -> None:
    parts = (
        f"{HEAD}Content-Type: multipart/mixed; boundary=b1\n\n--b1\nContent-Type: text/plain\n\nSee the file.\n"
        f"--b1\nContent-Type: {kind}; charset={stated}\nContent-Disposition: attachment; filename={name}\n"
        "Content-Transfer-Encoding: 8bit\n\n"
    )
    mail = parts.encode() + text.encode(written_in) + b"\n--b1--\n"

    _, prices = await parse_all(parser.parse, Fetched("mail.eml", mail))
    assert prices.text.endswith(text)


CODE_PAGES = pytest.mark.parametrize(
    ("code_page", "written_in", "text"),
    [
        (28591, "cp1252", "The plan “Team” costs 12 € – per month."),
        (936, "gb18030", "朱镕基的办公室在三楼，周一开门。"),
        (932, "cp932", "事務所は①番出口の近く、㈱山田の隣です。"),
        (949, "cp949", "똠방각하는 삼 층에 있습니다."),
        (950, "big5hkscs", "辦公室在三樓，星期一開門。"),
        (1251, "cp1251", "Офис открыт с девяти."),
        (99999, "cp1252", "The plan “Team” costs 12 € – per month."),
    ],
)


@CODE_PAGES
def test_the_texts_of_an_outlook_message_are_read_in_its_code_page(code_page: int, written_in: str, text: str) -> None:
    html = f"<p>{text}</p>".encode(written_in)
    for body in ({"body": text}, {"html": html}):
        tree = outlook_files.message(
            subject=text, to=(text, "ann@example.org"), code_page=code_page, charset=written_in, **body
        )
        document = parsers.parse(outlook_files.compound_file(tree), "plan.msg")
        assert document.title == text
        assert document.text.count(text) == 3


@CODE_PAGES
def test_the_texts_of_packed_attachments_are_read_in_their_code_page(
    code_page: int, written_in: str, text: str
) -> None:
    packed = winmail(attached_file(text.replace(".", "").encode(written_in) + b".txt", b"words"), code_page=code_page)
    [file] = tnef.message_of(packed, 1).iter_attachments()
    assert file.get_filename() == text.replace(".", "") + ".txt"
