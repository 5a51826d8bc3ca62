"""Articles of the web: their whole text is read, and nothing that stands around it, whatever the page is built of."""

from __future__ import annotations

from lxml import html  # type: ignore[import-untyped]

from knowledge.parsing.html.html_blocks import blocks_of
from knowledge.parsing.html.main_content import main_blocks

PARAGRAPHS = [
    "The first lighthouse was built by fishermen, who carried each of its stones up the hill on their backs.",
    "Nobody paid them, and the governor only heard of the light when his own ship had come home by it.",
    "A second tower followed two winters later, because the bay beyond the cape had taken three boats.",
    "Its lamp burned oil from the whales that the northern families hunted every spring until the ban.",
    "When electricity arrived, the keepers kept a tank of oil in the cellar and trimmed the wicks each Sunday.",
    "They were right to do so: the cable broke in the storm of March, and the old lamp burned for nine nights.",
    "Today a computer in the capital watches all eight lights, and one mechanic drives along the coast.",
    "Still, on the last evening of the year, somebody climbs the stairs and lights a candle at the top.",
]
TEXT = "".join(f"<p>{text}</p>" for text in PARAGRAPHS)


def read(page: str, found: str) -> list[str]:
    """Return the texts of the blocks that are read of a page, in which the library found a text."""
    tree = html.document_fromstring(f"<html><body>{page}</body></html>")
    return [block.text for block in main_blocks(blocks_of(tree.find("body")), found)]


def test_an_article_that_is_a_gallery_is_read_whole() -> None:
    slides = "".join(
        f"<div class='gallery-slide'><h3>Picture {n}</h3><p>{text}</p></div>" for n, text in enumerate(PARAGRAPHS)
    )
    shown = read(f"<h1>Towers</h1><div class=carousel-gallery>{slides}</div>", "\n".join(PARAGRAPHS))
    assert [text for text in shown if text in PARAGRAPHS] == PARAGRAPHS
    assert "Picture 7" in shown


def test_comments_stay_out_although_they_hold_more_text_than_the_article() -> None:
    comments = [
        f"I was at the lighthouse {n} times last year, and nobody there told me about the stones." for n in range(9)
    ]
    listed = "".join(f"<li class=comment><blockquote><p>{text}</p></blockquote></li>" for text in comments)
    article = f"<article><h1>Towers</h1>{''.join(f'<p>{text}</p>' for text in PARAGRAPHS[:4])}</article>"
    shown = read(f"<main>{article}<ul>{listed}</ul></main>", "\n".join([*PARAGRAPHS[:4], *comments]))
    assert shown == ["Towers", *PARAGRAPHS[:4]]


def test_a_quotation_in_the_article_is_read_whatever_its_name_says() -> None:
    words = "We carried the stones for three years, said the mayor of it."
    quote = f"<blockquote class='share-quote'><p>{words}</p></blockquote>"
    shown = read(f"<article><h1>Towers</h1>{TEXT}{quote}{TEXT}</article>", "\n".join(PARAGRAPHS))
    assert words in shown


def test_the_summary_and_the_caption_above_an_article_are_read() -> None:
    summary = "A village without money built eight lighthouses, and paid for them with fish and with patience."
    head = (
        f"<header><h1>Towers</h1><div>By Ada</div><p class=deck>{summary}</p>"
        "<ul class=share><li><a href=/s>Send to a friend</a></li></ul></header>"
        "<figure><img src=a.png><figcaption>The first tower</figcaption></figure>"
    )
    shown = read(f"<nav><a href=/>Home</a></nav>{head}<div class=body>{TEXT}</div>", "\n".join(PARAGRAPHS))
    assert shown == ["Towers", summary, "The first tower", *PARAGRAPHS]


def test_text_far_below_the_title_is_no_summary() -> None:
    bio = "Ada writes about the sea for this paper and has lived on an island for more than twenty years."
    note = "<p>Ada</p><p>Reporter</p><p>12 May</p>"
    shown = read(f"<h1>Towers</h1><div>{note}<p>{bio}</p></div><div class=body>{TEXT}</div>", "\n".join(PARAGRAPHS))
    assert shown == ["Towers", *PARAGRAPHS]


def test_an_article_is_read_although_the_library_found_only_links() -> None:
    titles = [f"How the tower of the village number {n} was lost in the storm of the year" for n in range(6)]
    links = "".join(f"<a href=/{n}><h2>{title}</h2></a>" for n, title in enumerate(titles))
    page = f"<nav>{links}</nav><article><h1>Towers</h1><div class=text>{TEXT}</div></article>"
    shown = read(page, "\n".join(titles))
    assert shown == ["Towers", *PARAGRAPHS]


def test_a_name_of_the_whole_page_tells_no_navigation() -> None:
    cookies = "<div class=cookies><p>This site keeps a note of every visit until you say that it may not.</p></div>"
    tree = html.document_fromstring(f"<html><body class=nav-down>{cookies}<h1>Towers</h1>{TEXT}</body></html>")
    assert [block.text for block in main_blocks(blocks_of(tree.find("body")), "")] == ["Towers", *PARAGRAPHS]


def test_a_list_of_links_between_the_paragraphs_of_an_article_is_part_of_it() -> None:
    links = "<ul>" + "".join(f"<li><a href=/{n}>The tower of island {n}</a></li>" for n in range(4)) + "</ul>"
    text = f"<p>{PARAGRAPHS[0]}</p>{links}" + "".join(f"<p>{text}</p>" for text in PARAGRAPHS[1:])
    shown = read(f"<article><h1>Towers</h1>{text}</article>", "\n".join(PARAGRAPHS))
    assert shown[2].splitlines() == [f"- The tower of island {n}" for n in range(4)]
    inside = text.replace("<ul>", "<div class=box><ul>").replace("</ul>", "</ul></div>")
    assert read(f"<article><h1>Towers</h1>{inside}</article>", "\n".join(PARAGRAPHS)) == ["Towers", *PARAGRAPHS]


def test_a_teaser_that_repeats_the_article_brings_in_no_other_teasers() -> None:
    others = "".join(
        f"<div class=item><p>The ferry number {n} did not sail on Sunday, because its captain was ill.</p></div>"
        for n in range(6)
    )
    teaser = f"<div class=item><p>{PARAGRAPHS[0]} {PARAGRAPHS[1]}</p></div>"
    page = f"<div>{others}{teaser}{others}</div><article><h1>Towers</h1>{TEXT}</article>"
    assert read(page, "\n".join(PARAGRAPHS)) == ["Towers", *PARAGRAPHS]


def test_a_page_that_repeats_itself_is_read_whole() -> None:
    again = [PARAGRAPHS[0], PARAGRAPHS[1], PARAGRAPHS[0], PARAGRAPHS[1], PARAGRAPHS[2]]
    text = "".join(f"<p>{one}</p>" for one in again)
    assert read(f"<article><h1>Towers</h1>{text}</article>", "\n".join(PARAGRAPHS)) == ["Towers", *again]
