"""The charset of text and pages: a mark in the bytes, then what server, mail or page state, then a guess."""

from __future__ import annotations

import pytest

from knowledge.parsing import parsers, text_encoding

SPANISH = "La contraseña caducará mañana; el año próximo habrá más días libres."
GERMAN = "Die Größe der Übergabe beträgt 30 €."
RUSSIAN = "Офис закрывается в шесть часов вечера по пятницам, ключ лежит у охраны."
PAGE = "<!doctype html><html><head>{}<title>T</title></head><body><h1>T</h1><p>{}</p></body></html>"


@pytest.mark.parametrize("text", [SPANISH, GERMAN, "Le siège social se trouve à Orléans, près de la forêt."])
def test_western_text_without_a_statement_is_windows_1252(text: str) -> None:
    assert text_encoding.decode(text.encode("cp1252")) == text


@pytest.mark.parametrize("codec", ["utf-8-sig", "utf-16", "utf-8"])
def test_a_byte_order_mark_and_utf8_need_no_statement(codec: str) -> None:
    assert text_encoding.decode(RUSSIAN.encode(codec), "iso-8859-1" if codec != "utf-8" else "") == RUSSIAN


@pytest.mark.parametrize(
    ("label", "codec", "text"),
    [
        ("iso-8859-1", "cp1252", GERMAN),
        ("latin1", "cp1252", GERMAN),
        ("koi8-r", "koi8_r", RUSSIAN),
        ("windows-1251", "cp1251", RUSSIAN),
        ("x-sjis", "cp932", "営業時間は九時から①まで。"),
        ("gb2312", "gb18030", "办公室六点关门。"),
        ("ks_c_5601-1987", "cp949", "사무실은 여섯 시에 닫습니다."),
    ],
)
def test_names_of_charsets_mean_what_the_encoding_standard_says(label: str, codec: str, text: str) -> None:
    assert text_encoding.decode(text.encode(codec), label) == text


def test_the_server_is_believed_before_the_page() -> None:
    page = PAGE.format('<meta charset="koi8-r">', RUSSIAN).encode("cp1251")
    assert RUSSIAN in parsers.parse(page, "page", "text/html; charset=windows-1251").text


@pytest.mark.parametrize(
    "meta",
    [
        '<meta charset="windows-1251">',
        "<meta http-equiv=Content-Type content='text/html; charset=windows-1251'>",
    ],
)
def test_the_page_is_believed_before_a_guess(meta: str) -> None:
    assert RUSSIAN in parsers.parse(PAGE.format(meta, RUSSIAN).encode("cp1251"), "page", "text/html").text


def test_a_statement_that_the_bytes_contradict_is_not_believed() -> None:
    page = PAGE.format('<meta charset="utf-8">', SPANISH).encode("cp1252")
    assert SPANISH in parsers.parse(page, "page.html", "text/html; charset=utf-8").text
    assert GERMAN in parsers.parse(GERMAN.encode("cp1252"), "a.txt", "text/plain; charset=no-such-charset").text


@pytest.mark.parametrize(
    ("charset", "text"),
    [("gb2312", "办公室六点关门，钥匙在门卫处。"), ("iso-8859-1", SPANISH * 3), ("windows-1251", RUSSIAN)],
)
def test_a_page_that_was_saved_as_utf8_keeps_its_text_whatever_it_states(charset: str, text: str) -> None:
    page = PAGE.format(f'<meta charset="{charset}">', text)
    assert text in parsers.parse(page.encode(), "page.html").text
    assert text in parsers.parse(page.encode(text_encoding.codec_of(charset)), "page.html").text


def test_a_few_characters_that_could_be_utf8_are_read_as_the_page_states() -> None:
    page = PAGE.format('<meta charset="gb2312">', "系统").encode("gb2312")
    assert page.decode()
    assert "系统" in parsers.parse(page, "page.html").text


def test_one_bad_byte_in_a_long_page_spoils_nothing_else() -> None:
    page = PAGE.format('<meta charset="utf-8">', f"<p>{RUSSIAN} " * 40).encode() + b"<p>A bad \xe9 byte.</p>"
    assert RUSSIAN in parsers.parse(page, "page.html").text


@pytest.mark.parametrize(
    ("data", "name", "content_type", "kind"),
    [
        (b"\xef\xbb\xbf<!doctype html><title>B</title><p>Blue.</p>", "page", "", "html"),
        ("<!doctype html><title>B</title><p>Blue.</p>".encode("utf-16"), "page", "", "html"),
        (b"<title>T</title><h1>Hello</h1><p>Blue.</p>", "page", "", "html"),
        (b"<h1 align=center>Tool</h1>\n\nBlue **text**.", "README.md", "", "markdown"),
        (b"Hello <b>you</b>, blue.", "page", "text/html; charset=utf-8", "html"),
        (b"Blue without a tag.", "page", "text/html", "plain"),
        (b"<template><p>Blue</p></template>", "a.js", "", "code"),
        (b'{"gate": "<p>blue</p>"}', "a.json", "application/json", "json"),
    ],
)
def test_what_is_html(data: bytes, name: str, content_type: str, kind: str) -> None:
    assert parsers.parse(data, name, content_type).metadata["format"] == kind
