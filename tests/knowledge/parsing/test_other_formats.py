"""Parsing of notebooks, tables in text, OpenDocument, EPUB, RTF, XLS, and old formats that are refused."""

from __future__ import annotations

import base64
import io
import json
import zipfile
import zlib

import pytest

from knowledge.errors import ParseError
from knowledge.parsing.isolation.sandbox import Parser
from knowledge.types.documents import Document
from knowledge.types.source_items import Fetched


def texts(document: Document) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(b.kind, document.text[b.start : b.end], b.heading) for b in document.blocks]


NOTEBOOK = {
    "nbformat": 4,
    "cells": [
        {"cell_type": "markdown", "source": ["# Sales\n", "\n", "Sales rose by **4 %**."]},
        {
            "cell_type": "code",
            "source": "total = 12\ntotal",
            "outputs": [
                {"output_type": "stream", "text": ["reading\n"]},
                {"output_type": "execute_result", "data": {"image/png": "aGVsbG8=", "text/plain": ["12"]}},
                {"output_type": "error", "ename": "KeyError", "evalue": "'x'", "traceback": ["\x1b[31mlong"]},
            ],
        },
    ],
}


async def test_notebook_becomes_cells_and_outputs(parser: Parser) -> None:
    document = await parser.parse(Fetched("sales.ipynb", json.dumps(NOTEBOOK).encode()))
    assert texts(document) == [
        ("heading", "Sales", ()),
        ("paragraph", "Sales rose by **4 %**.", ("Sales",)),
        ("code", "total = 12\ntotal", ("Sales",)),
        ("paragraph", "reading", ("Sales",)),
        ("paragraph", "12", ("Sales",)),
        ("paragraph", "KeyError: 'x'", ("Sales",)),
    ]


@pytest.mark.parametrize(
    "data",
    [
        "Plan,Price\nTeam,12\n",
        "sep=;\nPlan;Price\nTeam;12\n",
        "Plan^Price\nTeam^12\n",
        "Plan\tPrice\nTeam\t12\n",
        "sep=#\nPlan#Price\nTeam#12\n",
        '"Plan";"Price"\n"Team";"12"\n',
    ],
)
async def test_delimiters_are_told_from_the_rows(parser: Parser, data: str) -> None:
    document = await parser.parse(Fetched("prices.csv", data.encode()))
    assert document.text == "| Plan | Price |\n| --- | --- |\n| Team | 12 |"


async def test_commas_inside_cells_do_not_win_over_the_delimiter(parser: Parser) -> None:
    data = "Plan;Note;Price\nTeam;small, but good;1,5\nFirm;large;2,5\n"
    assert "| Team | small, but good | 1,5 |" in (await parser.parse(Fetched("a.csv", data.encode()))).text


async def test_cell_of_any_length_is_read(parser: Parser) -> None:
    data = f'id,text\n1,"{"word " * 50_000}end"\n'
    document = await parser.parse(Fetched("long.csv", data.encode()))
    assert document.text.endswith("word end |")


def archive(mimetype: str, **members: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("mimetype", mimetype, zipfile.ZIP_STORED)
        for name, content in members.items():
            made.writestr(name.replace("__", "/").replace("_xml", ".xml").replace("_html", ".xhtml"), content)
    return buffer.getvalue()


def opendocument(body: str, kind: str, styles: str = "") -> bytes:
    namespaces = (
        "".join(
            f' xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"'
            for name in ("office", "text", "table", "style", "presentation")
        )
        + ' xmlns:draw="urn:oasis:names:tc:opendocument:xmlns:drawing:1.0"'
    )
    content = (
        f"<office:document-content{namespaces}><office:automatic-styles>{styles}</office:automatic-styles>"
        f"<office:body><office:{kind}>{body}</office:{kind}></office:body></office:document-content>"
    )
    meta = f"<office:document-meta{namespaces}><office:meta/></office:document-meta>"
    return archive(f"application/vnd.oasis.opendocument.{kind}", content_xml=content, meta_xml=meta)


async def test_opendocument_text_keeps_headings_lists_notes_and_tables(parser: Parser) -> None:
    body = (
        '<text:h text:outline-level="1">Rules</text:h>'
        "<text:p>Dogs<text:s/>may<text:note><text:note-citation>1</text:note-citation><text:note-body>"
        "<text:p>Not on Monday.</text:p></text:note-body></text:note> enter.</text:p>"
        "<text:list><text:list-item><text:p>Leash</text:p></text:list-item></text:list>"
        "<table:table><table:table-row><table:table-cell><text:p>Plan</text:p></table:table-cell>"
        '<table:table-cell table:number-columns-repeated="2"><text:p>12</text:p></table:table-cell>'
        "</table:table-row></table:table>"
    )
    document = await parser.parse(Fetched("rules.odt", opendocument(body, "text")))
    assert [text for _, text, _ in texts(document)] == [
        "Rules",
        "Dogs may enter.",
        "Not on Monday.",
        "- Leash",
        "| Plan | 12 | 12 |\n| --- | --- | --- |",
    ]


SHEET = (
    '<table:table table:name="{name}" table:style-name="{style}"><table:table-column/><table:table-column {column}/>'
    "<table:table-row><table:table-cell><text:p>Plan</text:p></table:table-cell><table:table-cell><text:p>Margin"
    "</text:p></table:table-cell></table:table-row><table:table-row {row}><table:table-cell><text:p>{value}</text:p>"
    "</table:table-cell></table:table-row></table:table>"
)


async def test_hidden_parts_of_opendocument_workbooks_are_left_out(parser: Parser) -> None:
    styles = '<style:style style:name="h"><style:table-properties table:display="false"/></style:style>'
    hidden = 'table:visibility="collapse"'
    body = (
        SHEET.format(name="Public", style="x", column=hidden, row="", value="Team")
        + SHEET.format(name="Pay", style="h", column="", row="", value="salary")
        + SHEET.format(name="Rows", style="x", column="", row=hidden, value="secret")
    )
    data = opendocument(body, "spreadsheet", styles)
    document = await parser.parse(Fetched("plan.ods", data))
    assert document.text.split("\n\n") == [
        "Public",
        "| Plan |\n| --- |\n| Team |",
        "Rows",
        "| Plan | Margin |\n| --- | --- |",
    ]
    assert len(document.warnings) == 3
    everything = await parser.parse(Fetched("plan.ods", data), include_hidden=True)
    assert "salary" in everything.text
    assert "secret" in everything.text


def book() -> bytes:
    """Return a book whose second file is the first chapter."""
    chapter = "<html><body><h1>{0}</h1><p>The text of chapter {0} is long enough to be the content.</p>"
    chapter += "<div><p>Box: {0}<br>Sent to all</p></div><p>End of {0}.</p></body></html>"
    contents = (
        '<package xmlns="http://www.idpf.org/2007/opf"><metadata xmlns:dc="http://purl.org/dc/elements/1.1/">'
        "<dc:title>Handbook</dc:title></metadata><manifest><item id='a' href='two.xhtml'/>"
        "<item id='b' href='one.xhtml'/></manifest><spine><itemref idref='b'/><itemref idref='a'/></spine></package>"
    )
    container = '<container><rootfiles><rootfile full-path="OPS/book.xml"/></rootfiles></container>'
    return archive(
        "application/epub+zip",
        **{"META-INF__container_xml": container, "OPS__book_xml": contents},
        OPS__one_html=chapter.format("One"),
        OPS__two_html=chapter.format("Two"),
    )


async def test_book_is_read_in_the_order_of_its_spine(parser: Parser) -> None:
    document = await parser.parse(Fetched("book.epub", book()))
    assert document.title == "Handbook"
    places = [
        document.text.find(text) for text in ("chapter One", "Box: One", "End of One.", "chapter Two", "Box: Two")
    ]
    assert 0 <= places[0] < places[1] < places[2] < places[3] < places[4]


async def test_rich_text_is_read_without_its_commands(parser: Parser) -> None:
    data = rb"{\rtf1\ansi\ansicpg1252{\fonttbl{\f0 Arial;}}\f0 Die Geb\'fchr ist \b 15 \u8364?\b0 .\par "
    data += rb"Zweiter Absatz.\par}"
    document = await parser.parse(Fetched("note.rtf", data))
    assert [text for _, text, _ in texts(document)] == ["Die Gebühr ist 15 €.", "Zweiter Absatz."]


async def test_headers_and_footers_of_rich_text_are_read_once(parser: Parser) -> None:
    data = rb"{\rtf1\ansi\ansicpg1252{\fonttbl{\f0\fcharset204 Arial;}}{\header \pard\plain Entw\'fcrf\{e\}\par }"
    data += rb"{\headerf {\b Entw\'fcrf\{e\}}\par}{\footer\pard\qc {\field{\*\fldinst PAGE}{\fldrslt 3}}\par}"
    data += rb"{\footerl {\f0 \'d2\'e0\'e9\'ed\'e0}\par}Die Geb\'fchr ist 15.\par}"
    document = await parser.parse(Fetched("note.rtf", data))
    assert [text for _, text, _ in texts(document)] == ["Entwürf{e}", "Тайна", "Die Gebühr ist 15."]


@pytest.mark.parametrize("name", ["old.doc", "old.ppt", "old"])
async def test_old_office_files_are_refused_with_the_way_out(parser: Parser, name: str) -> None:
    with pytest.raises(ParseError, match="save it as DOCX or PPTX"):
        await parser.parse(Fetched(name, b"\xd0\xcf\x11\xe0" + bytes(600)))


XLS = zlib.decompress(base64.b85decode(
    "c-rk)O=uHA6#i!O-=8E+QlS+}2w1hYQt{%YjSAX>SmF;TBIq{RLurzhZ7=cCYRyRm!IQ;Hp$dXjz4(I)dh;Mu^dJaAQjg+6Q1H-p"
    "ee-rVwlzWnwa~KPGH+(yytnf*Z{C~9zME?*O+RWaV-<Sg!jchycNtGm3D})5XxuPl)2{tg3<sME0Y5p?>%sHJw?64Z>F+WWJaoS%"
    "3d~bEj}i0_=e76-;xOBw3TZ=+aMRvXaGOdHEo@hWX_{%2=>wL1!So<=t~2c+*^)SixnzIG0c#(hRT4ZFBr5QPbv`j?ADZz-?&I+r"
    "!j$#kkUpqpx5_}9y8$yGU-xNwO_%*B?oeMOa6g_vH}+ELMw>f?yQl*Sgsxn!E0ZZ9M%!ZsKaDu>!_EV*;tqdf`2xiMwUY1q2j5S="
    "t;P?Kb64|kDsEr`#zi56qDa9p?lx0GN*_#Xqeax?m{)Ek7gB0rfg;OmWek!_W!1a~rYO~?2J>l+*rzo$S5I9nt!rcP5fUQ#Q8laT"
    "g*thhaQX?aNI#7nlnq2P2ywfKLo-ajX5rrV_s0iP$qUSx;3LO8n083(Vc@dVAmt#BxGJ=RHTE#Q!f)Nq?N+8S3J<E=Q_WW6=p@Tr"
    "<<WMUXFuaZa_6%4E@~IQo_N|;{F2;F?b*KarP%Dp<TMhr!Wq(+&m=lUr<l4W@hoZA!b)MEnYR3u&iqQ)vfZ#w-w+mMKoXjmnmxHX"
    "qS8~WwUXMRind^FxgIZRera6<*P?RHsc#BtN<D?&YU;%;J%#n;3im1zJeFNbvVX7<z7!R@S$!$0`qE>sDyprj0|yQqIB?*=!8$|m"
    "rO~`1%S)HXy14nQ?>dWAmYmNdTNWoVOwSno6+D7G)jA3_?VoM%2>V@PjXL)CLWwgpyN)3YupL7+?_auji{-y(&5Ggm3!z%)U#i8<"
    "|2+S1Kcf|w"
))  # fmt: skip
"""A workbook with a currency, a date, a hidden row and a hidden sheet, as Excel 97 saves it; Python has no writer."""


async def test_old_workbook_is_read_like_one_of_today(parser: Parser) -> None:
    document = await parser.parse(Fetched("old.xls", XLS))
    table = "| Plan | Price | Since |\n| --- | --- | --- |\n| Team | €12.50 | 2031-05-06 |"
    assert document.text == f"Prices\n\n{table}"
    assert len(document.warnings) == 2
    everything = await parser.parse(Fetched("old.xls", XLS), include_hidden=True)
    assert "Secret plan" in everything.text
    assert "salary" in everything.text


@pytest.mark.parametrize(("stream", "reason"), [("Workbook", "damaged"), ("__properties_version1.0", "Save it as EML")])
async def test_damaged_old_files_are_refused(parser: Parser, stream: str, reason: str) -> None:
    data = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600) + stream.encode("utf-16-le") + bytes(600)
    with pytest.raises(ParseError, match=reason):
        await parser.parse(Fetched("old", data))
