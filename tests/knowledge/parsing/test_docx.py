"""Parsing of Word documents: text in every kind of element, numbers of lists, tables, and what is left out."""

from __future__ import annotations

import io
import zipfile

import docx
import pytest

from knowledge.parsing.isolation.sandbox import Parser
from knowledge.types.documents import Document
from knowledge.types.source_items import Fetched

W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
NAMESPACES = (
    f'xmlns:w="{W}" xmlns:m="http://schemas.openxmlformats.org/officeDocument/2006/math" '
    'xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006" '
    'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships" '
    'xmlns:c="http://schemas.openxmlformats.org/drawingml/2006/chart" '
    'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main"'
)
RELATIONSHIPS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"


def word_file(body: str, **parts: str) -> bytes:
    """Return a document with this body. Each part is named by the kind of its relationship, and so is its ID."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        links = "".join(
            f'<Relationship Id="{kind}" Type="{RELATIONSHIPS}/{kind}" Target="{kind}.xml"/>' for kind in parts
        )
        package = "http://schemas.openxmlformats.org/package/2006/relationships"
        archive.writestr(
            "_rels/.rels",
            f'<Relationships xmlns="{package}"><Relationship Id="r" Type="{RELATIONSHIPS}/officeDocument" '
            'Target="word/document.xml"/></Relationships>',
        )
        archive.writestr("word/_rels/document.xml.rels", f'<Relationships xmlns="{package}">{links}</Relationships>')
        archive.writestr("word/document.xml", f"<w:document {NAMESPACES}><w:body>{body}</w:body></w:document>")
        for kind, content in parts.items():
            archive.writestr(f"word/{kind}.xml", content.replace("<root", f"<w:{kind} {NAMESPACES}", 1).replace(
                "</root>", f"</w:{kind}>"))  # fmt: skip
    return buffer.getvalue()


def run(text: str, properties: str = "") -> str:
    return f'<w:r><w:rPr>{properties}</w:rPr><w:t xml:space="preserve">{text}</w:t></w:r>'


def paragraph(*inside: str, style: str = "", properties: str = "") -> str:
    named = f'<w:pStyle w:val="{style}"/>' if style else ""
    return f"<w:p><w:pPr>{named}{properties}</w:pPr>{''.join(inside)}</w:p>"


def texts(document: Document) -> list[tuple[str, str]]:
    return [(b.kind, document.text[b.start : b.end]) for b in document.blocks]


async def read(parser: Parser, body: str, **parts: str) -> Document:
    return await parser.parse(Fetched("contract.docx", word_file(body, **parts)))


@pytest.mark.parametrize(
    ("inside", "shown"),
    [
        (f'<w:del w:id="1"><w:r><w:delText>ten</w:delText></w:r></w:del><w:ins w:id="2">{run("12")}</w:ins>', "12"),
        (f'<w:moveFrom w:id="1">{run("old")}</w:moveFrom><w:moveTo w:id="2">{run("moved")}</w:moveTo>', "moved"),
        (f"<w:sdt><w:sdtPr/><w:sdtContent>{run('chosen')}</w:sdtContent></w:sdt>", "chosen"),
        (f'<w:smartTag w:element="a"><w:smartTag w:element="b">{run("Oslo")}</w:smartTag></w:smartTag>', "Oslo"),
        (f'<w:hyperlink r:id="x">{run("the rules")}</w:hyperlink>', "the rules"),
        (f'<w:fldSimple w:instr=" REF x ">{run("4.2")}</w:fldSimple>', "4.2"),
        (
            '<w:r><w:fldChar w:fldCharType="begin"/></w:r><w:r><w:instrText> IF </w:instrText></w:r>'
            '<w:r><w:fldChar w:fldCharType="begin"/></w:r><w:r><w:instrText> MERGEFIELD n </w:instrText></w:r>'
            f'<w:r><w:fldChar w:fldCharType="separate"/></w:r>{run("inner")}<w:r><w:fldChar w:fldCharType="end"/></w:r>'
            f'<w:r><w:fldChar w:fldCharType="separate"/></w:r>{run("result")}'
            '<w:r><w:fldChar w:fldCharType="end"/></w:r>',
            "result",
        ),
        (
            '<w:r><w:fldChar w:fldCharType="begin"><w:ffData><w:checkBox><w:default w:val="0"/><w:checked/>'
            '</w:checkBox></w:ffData></w:fldChar></w:r><w:r><w:fldChar w:fldCharType="end"/></w:r>',
            "☒",
        ),
        ('<w:r><w:sym w:font="Wingdings" w:char="F0FC"/></w:r>', "✓"),
        ("<m:oMath><m:f><m:num><m:r><m:t>a</m:t></m:r></m:num><m:den><m:r><m:t>2</m:t></m:r></m:den></m:f></m:oMath>",
         "a/2"),
        ("<m:oMath><m:sSup><m:e><m:r><m:t>10</m:t></m:r></m:e><m:sup><m:r><m:t>6</m:t></m:r></m:sup></m:sSup></m:oMath>",
         "10^6"),
        (f"{run('well')}<w:r><w:noBreakHyphen/></w:r>{run('known')}", "well-known"),
        (f"<w:ruby><w:rt>{run('kana')}</w:rt><w:rubyBase>{run('漢字')}</w:rubyBase></w:ruby>", "漢字"),
    ],
)  # fmt: skip
async def test_text_inside_every_element_is_read(parser: Parser, inside: str, shown: str) -> None:
    document = await read(parser, paragraph(run("before "), inside, run(" after")))
    assert document.text == f"before {shown} after"


async def test_text_boxes_and_their_alternatives_are_read_once(parser: Parser) -> None:
    box = f"<w:txbxContent>{paragraph(run('The deposit is 900.'))}</w:txbxContent>"
    alternatives = (
        f"<w:r><mc:AlternateContent><mc:Choice><w:drawing>{box}</w:drawing></mc:Choice>"
        f"<mc:Fallback><w:pict>{box}</w:pict></mc:Fallback></mc:AlternateContent></w:r>"
    )
    document = await read(parser, paragraph(run("Beside"), alternatives) + paragraph(run("Below")))
    assert [text for _, text in texts(document)] == ["Beside", "The deposit is 900.", "Below"]


async def test_notes_follow_their_paragraph_and_page_headers_are_read_once(parser: Parser) -> None:
    body = (
        paragraph(run("Dogs are allowed."), '<w:r><w:footnoteReference w:id="2"/></w:r>')
        + paragraph(run("Cats are not."), '<w:r><w:endnoteReference w:id="5"/></w:r>')
        + '<w:sectPr><w:headerReference r:id="header"/><w:footerReference r:id="footer"/></w:sectPr>'
    )
    document = await read(
        parser,
        body,
        footnotes=f'<root><w:footnote w:id="2">{paragraph(run("Not on Mondays."))}</w:footnote></root>',
        endnotes=f'<root><w:endnote w:id="5">{paragraph(run("By order."))}</w:endnote></root>',
        header=f"<root>{paragraph(run('Contract K-1'))}</root>",
        footer=f"<root>{paragraph(run('7'))}</root>",
    )
    assert [text for _, text in texts(document)] == [
        "Contract K-1",
        "Dogs are allowed.",
        "Note 1: Not on Mondays.",
        "Cats are not.",
        "Note 2: By order.",
    ]


async def test_text_boxes_and_tables_of_page_headers_and_notes_are_read_once(parser: Parser) -> None:
    box = f"<w:txbxContent>{paragraph(run('Draft of May'))}</w:txbxContent>"
    alternatives = (
        f"<w:r><mc:AlternateContent><mc:Choice><w:drawing>{box}</w:drawing></mc:Choice>"
        f"<mc:Fallback><w:pict>{box}</w:pict></mc:Fallback></mc:AlternateContent></w:r>"
    )
    table = f"<w:tbl><w:tr><w:tc>{paragraph(run('Ann'))}</w:tc><w:tc>{paragraph(run('Legal'))}</w:tc></w:tr></w:tbl>"
    document = await read(
        parser,
        paragraph(run("Dogs."), '<w:r><w:footnoteReference w:id="2"/></w:r>')
        + '<w:sectPr><w:headerReference r:id="header"/></w:sectPr>',
        header=f"<root>{paragraph(run('Contract'), alternatives)}{table}</root>",
        footnotes=f'<root><w:footnote w:id="2">{paragraph(run("Not cats."), alternatives)}</w:footnote></root>',
    )
    assert [text for _, text in texts(document)] == [
        "Contract\nDraft of May\nAnn\nLegal",
        "Dogs.",
        "Note 1: Not cats.\nDraft of May",
    ]


async def test_content_controls_around_blocks_are_read_in_their_place(parser: Parser) -> None:
    cell = f"<w:tc>{paragraph(run('Team'))}</w:tc><w:tc>{paragraph(run('12'))}</w:tc>"
    control = "<w:sdt><w:sdtPr/><w:sdtContent>{}</w:sdtContent></w:sdt>"
    inner = control.format(
        paragraph(run("Dogs may enter.")) + f"<w:tbl>{control.format(f'<w:tr>{cell}</w:tr>')}</w:tbl>"
    )
    body = (
        paragraph(run("Before")) + control.format(paragraph(run("Rules"), style="H1") + inner) + paragraph(run("After"))
    )
    document = await read(parser, body, styles=STYLES)
    assert texts(document) == [
        ("paragraph", "Before"),
        ("heading", "Rules"),
        ("paragraph", "Dogs may enter."),
        ("table", "| Team | 12 |\n| --- | --- |"),
        ("paragraph", "After"),
    ]


STYLES = (
    '<root><w:style w:type="paragraph" w:styleId="H1"><w:name w:val="heading 1"/></w:style>'
    '<w:style w:type="paragraph" w:styleId="Firm"><w:name w:val="Firm"/><w:basedOn w:val="H1"/></w:style>'
    '<w:style w:type="paragraph" w:styleId="Loop"><w:name w:val="Loop"/><w:basedOn w:val="Loop"/></w:style></root>'
)


async def test_styles_based_on_headings_and_outline_levels_are_headings(parser: Parser) -> None:
    body = (
        paragraph(run("Terms"), style="Firm")
        + paragraph(run("Pets"), properties='<w:outlineLvl w:val="1"/>')
        + paragraph(run("Fish only."), style="Loop")
    )
    document = await read(parser, body, styles=STYLES)
    assert [(b.kind, b.heading) for b in document.blocks] == [
        ("heading", ()),
        ("heading", ("Terms",)),
        ("paragraph", ("Terms", "Pets")),
    ]


NUMBERING = (
    '<root><w:abstractNum w:abstractNumId="0">'
    '<w:lvl w:ilvl="0"><w:start w:val="1"/><w:numFmt w:val="upperRoman"/><w:lvlText w:val="%1."/></w:lvl>'
    '<w:lvl w:ilvl="1"><w:start w:val="1"/><w:numFmt w:val="lowerLetter"/><w:lvlText w:val="%1.%2)"/></w:lvl>'
    '</w:abstractNum><w:num w:numId="3"><w:abstractNumId w:val="0"/></w:num>'
    '<w:num w:numId="4"><w:abstractNumId w:val="0"/><w:lvlOverride w:ilvl="0"><w:startOverride w:val="1"/>'
    "</w:lvlOverride></w:num></root>"
)


async def test_list_numbers_are_those_that_word_shows(parser: Parser) -> None:
    places = [(0, 3), (1, 3), (1, 3), (0, 3), (1, 3), (0, 4)]
    body = "".join(
        paragraph(run("x"), properties=f'<w:numPr><w:ilvl w:val="{level}"/><w:numId w:val="{number}"/></w:numPr>')
        for level, number in places
    )
    document = await read(parser, body, numbering=NUMBERING)
    assert [text.strip() for _, text in texts(document)] == ["I. x", "I.a) x", "I.b) x", "II. x", "II.a) x", "I. x"]


async def test_numbers_of_headings_are_those_that_word_shows(parser: Parser) -> None:
    numbered = '<w:numPr><w:ilvl w:val="{}"/><w:numId w:val="3"/></w:numPr>'
    body = (
        paragraph(run("Terms"), style="H1", properties=numbered.format(0))
        + paragraph(run("Pets"), properties=numbered.format(1) + '<w:outlineLvl w:val="1"/>')
        + paragraph(run("Fish only."))
        + paragraph(run("Rent"), style="H1", properties=numbered.format(0))
    )
    document = await read(parser, body, styles=STYLES, numbering=NUMBERING)
    assert [(b.kind, b.heading, document.text[b.start : b.end]) for b in document.blocks] == [
        ("heading", (), "I. Terms"),
        ("heading", ("I. Terms",), "I.a) Pets"),
        ("paragraph", ("I. Terms", "I.a) Pets"), "Fish only."),
        ("heading", (), "II. Rent"),
    ]


def row(*cells: str, before: int = 0) -> str:
    gap = f'<w:trPr><w:gridBefore w:val="{before}"/></w:trPr>' if before else ""
    return f"<w:tr>{gap}{''.join(cells)}</w:tr>"


def cell(*inside: str, properties: str = "") -> str:
    return f"<w:tc><w:tcPr>{properties}</w:tcPr>{''.join(inside) or paragraph()}</w:tc>"


def text_cell(text: str, properties: str = "") -> str:
    return cell(paragraph(run(text)), properties=properties)


async def test_merged_cells_repeat_in_every_column_and_row_that_they_span(parser: Parser) -> None:
    table = (
        row(text_cell("Plan"), text_cell("Month"), text_cell("Year"))
        + row(text_cell("Basic", '<w:vMerge w:val="restart"/>'), text_cell("free", '<w:gridSpan w:val="2"/>'))
        + row(text_cell("", "<w:vMerge/>"), text_cell("1"), text_cell("9"))
        + row(text_cell("only year"), before=2)
    )
    document = await read(parser, f"<w:tbl>{table}</w:tbl>")
    assert document.text.splitlines()[2:] == ["| Basic | free | free |", "| Basic | 1 | 9 |", "|  |  | only year |"]


async def test_nested_tables_and_odd_rows_keep_their_text(parser: Parser) -> None:
    inner = f"<w:tbl>{row(text_cell('per km'), text_cell('0.42'))}</w:tbl>"
    odd = '<w:tr><w:trPr><w:gridBefore w:val="x"/></w:trPr></w:tr>' + row(before=3)
    table = odd + row(text_cell("Item"), text_cell("Rate")) + row(text_cell("Travel"), cell(inner, paragraph()))
    document = await read(parser, f"<w:tbl>{table}</w:tbl>" + paragraph(run("The end.")))
    assert "| Travel | per km, 0.42 |" in document.text
    assert document.text.endswith("The end.")


async def test_layout_table_of_one_column_is_written_as_blocks(parser: Parser) -> None:
    table = f"<w:tbl>{row(cell(paragraph(run('Terms'), style='H1'), paragraph(run('Pay at once.'))))}</w:tbl>"
    document = await read(parser, table, styles=STYLES)
    assert texts(document) == [("heading", "Terms"), ("paragraph", "Pay at once.")]


async def test_deleted_and_hidden_text_and_comments_are_left_out_and_told(parser: Parser) -> None:
    body = paragraph(
        run("Shown."),
        run("vanished", "<w:vanish/>"),
        "<w:del><w:r><w:delText>deleted</w:delText></w:r></w:del>",
        '<w:r><w:commentReference w:id="0"/></w:r>',
    )
    comments = f'<root><w:comment w:id="0" w:author="Ann">{paragraph(run("Really?"))}</w:comment></root>'
    document = await read(parser, body, comments=comments)
    assert document.text == "Shown."
    assert len(document.warnings) == 3
    for what in ("deleted text", "hidden text", "comments"):
        assert any(what in warning for warning in document.warnings)


async def test_strict_documents_are_read_like_transitional_ones(parser: Parser) -> None:
    buffer = io.BytesIO()
    made = docx.Document()
    made.add_heading("Handbook", 1)
    made.add_paragraph("Welcome.")
    made.save(buffer)
    strict = io.BytesIO()
    with zipfile.ZipFile(buffer) as old, zipfile.ZipFile(strict, "w") as archive:
        for name in old.namelist():
            data = old.read(name).replace(W.encode(), b"http://purl.oclc.org/ooxml/wordprocessingml/main")
            archive.writestr(
                name, data.replace(RELATIONSHIPS.encode(), b"http://purl.oclc.org/ooxml/officeDocument/relationships")
            )
    document = await parser.parse(Fetched("strict.docx", strict.getvalue()))
    assert texts(document) == [("heading", "Handbook"), ("paragraph", "Welcome.")]


async def test_damaged_part_costs_itself(parser: Parser) -> None:
    document = await read(parser, paragraph(run("The rest.")), numbering="<root", styles="<nothing")
    assert document.text == "The rest."
    assert len(document.warnings) == 2
