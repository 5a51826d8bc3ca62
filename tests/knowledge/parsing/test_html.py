"""HTML pages: the text that a reader sees, in order, with its structure, and nothing else."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from knowledge.errors import ParseError
from knowledge.parsing.document_builder import ParsedDocument
from knowledge.parsing.html import html_document

FILLER = "".join(
    f"<p>The archive of building {n} is kept by the facility team, which answers requests within two days.</p>"
    for n in range(12)
)


def parsed(body: str, head: str = "<title>T</title>") -> ParsedDocument:
    return html_document.parse(f"<!doctype html><html lang=en><head>{head}</head><body>{body}</body></html>".encode())


def test_a_page_keeps_its_introduction_and_all_its_sections() -> None:
    intro = "<h2>Gates</h2><p>The town has gates of several kinds, and this page says who may open each of them.</p>"
    short = "<section><h3>Keys</h3><p>Please see the list of keys for whoever has one.</p></section>"
    long = f"<section><h3>Archive</h3>{FILLER}</section>"
    for body in (intro + long, intro + short + long, f"<h2>Gates</h2>{short}{long}"):
        found = parsed(f"<div id=menu role=navigation><a href=/>Home</a></div><div id=text>{body}</div>").text
        assert "Home" not in found
        assert ("who may open each of them" in found) is (intro in body)
        assert ("list of keys" in found) is (short in body)


def test_a_section_of_a_reference_that_only_links_to_another_page_is_kept() -> None:
    link = "<section><h3>Class Hinge</h3><p>See <a href=/hinge>the module of hinges</a>.</p></section>"
    long = f"<section><h3>Archive</h3>{FILLER}</section>"
    text = parsed(f"<div id=text>{long}{link}{long}</div>").text
    assert "Class Hinge\n\nSee the module of hinges." in text
    teasers = link.replace("<section>", "<section class=more>")
    assert "module of hinges" not in parsed(f"<div id=text>{long}{teasers}{long}</div>").text


def test_a_heading_stays_above_text_whose_first_line_is_left_out() -> None:
    note = (
        "<section><h3>Class Bolt</h3><div>Since 2031</div><p>A bolt that holds the gate of the yard shut.</p></section>"
    )
    long = f"<section><h3>Archive</h3>{FILLER}</section>"
    found = parsed(f"<div id=text>{long}{note}{long}</div>")
    block = next(b for b in found.blocks if "A bolt" in found.text[b.start : b.end])
    assert block.heading[-1] == "Class Bolt"


def test_a_short_page_is_read_without_its_tables_of_links() -> None:
    table = (
        "<table class=nav><tr><td><a href=/p>Prev</a></td><td>The manual</td><td><a href=/n>Next</a></td></tr></table>"
    )
    found = parsed(f"{table}<h1>Gates</h1><p>Every gate of the town closes at six in the evening.</p>{table}")
    assert found.text == "Gates\n\nEvery gate of the town closes at six in the evening."
    assert parsed("<div class=menu><p>Soup is six euros.</p></div>").text == "Soup is six euros."


def article(body: str, *, filler: str = FILLER) -> str:
    """Return the text of a page with an article, long enough for the extraction library, without its filler."""
    found = parsed(f"<nav><a href=/>Home</a> <a href=/b>Blog</a></nav><main><h1>Gates</h1>{filler}{body}</main>")
    blocks = [found.text[b.start : b.end] for b in found.blocks]
    return "\n".join(block for block in blocks if "facility team" not in block and block != "Gates")


@pytest.mark.parametrize("filler", [FILLER, ""], ids=["long", "short"])
@pytest.mark.parametrize(
    ("body", "text"),
    [
        (
            "<p>The lot has <!-- -->40<!-- --> places, and <!-- -->6<!-- --> of them charge cars.</p>",
            "The lot has 40 places, and 6 of them charge cars.",
        ),
        ("<ul><li>Gate <!--n-->2<!-- --> is open.</li></ul>", "- Gate 2 is open."),
        (
            "<p>Lock <b><code>north</code></b> at six, and open <b><i>south</i></b> at seven.</p>",
            "Lock north at six, and open south at seven.",
        ),
        (
            "<ul><li>Lock <b><code>north</code></b> at six, and open <a href=/s><code>south</code></a>.</li></ul>",
            "- Lock north at six, and open south.",
        ),
        ("<ul><li>North<ul><li>Red</li><li>Blue</li></ul>by day</li></ul>", "- North\n  - Red\n  - Blue\n  by day"),
        ("<p>Mill Lane 4<br>Lisbon<br>Portugal</p>", "Mill Lane 4\nLisbon\nPortugal"),
        ("<p>un<wbr>believ<b>able</b>, <i>in</i>side</p>", "unbelievable, inside"),
        ("<p>About 10<sup>6</sup> people, the 1<sup>st</sup> of May, CO<sub>2</sub></p>",
         "About 10^6 people, the 1st of May, CO2"),
        ("<pre>a = 1\n  b = 2\n\nc</pre>", "a = 1\n  b = 2\n\nc"),
        ("<pre><span>x</span><br><span>y</span></pre>", "x\ny"),
        ("<ol start=3><li>Knock</li><li>Wait</li></ol>", "3. Knock\n4. Wait"),
        ("<dl><dt>Gate</dt><dd>A door in a fence.</dd></dl>", "- Gate: A door in a fence."),
        ("<figure><img src=a.png><figcaption>The gate at night.</figcaption></figure>", "The gate at night."),
        ("<details><summary>May I park?</summary>Yes, on lot B.</details>", "May I park?\nYes, on lot B."),
        ("<div>Bare text about the gate.<p>A paragraph.</p>More bare text.</div>",
         "Bare text about the gate.\nA paragraph.\nMore bare text."),
        ("<aside>Dogs wait at the gate until somebody fetches them.</aside><p>They are fed at noon.</p>",
         "Dogs wait at the gate until somebody fetches them.\nThey are fed at noon."),
        ("<p>Rech\u00adnungs\u00adwesen</p>", "Rechnungswesen"),
        ("<h2>PDF <a class=headerlink href=#pdf>¶</a></h2><p>It has all figures.</p>", "PDF\nIt has all figures."),
        ("<ul><li>Google</li><li>Print</li><li>PDF</li></ul>", "- Google\n- Print\n- PDF"),
        ("<blockquote><p>Close the gate.</p></blockquote>", "Close the gate."),
    ],
)  # fmt: skip
def test_a_reader_sees(body: str, text: str, filler: str) -> None:
    lead = "<p>The gates of the yard are kept by the guard, who has all the keys.</p>" if not filler else ""
    shown = article(lead + body, filler=filler)
    assert shown.removeprefix("The gates of the yard are kept by the guard, who has all the keys.\n") == text


def test_a_merged_cell_is_repeated_and_every_value_is_in_its_column() -> None:
    table = (
        "<table><caption>Opening hours</caption><tr><th>Gate<th>Day<th colspan=2>Hours</tr>"
        "<tr><td rowspan=2>North</td><td>Monday</td><td>8</td><td>18</td></tr>"
        "<tr><td>Friday</td><td>9<br>sharp</td><td>16</td></tr><tr><td>South</td><td>Print</td><td>PDF</td><td>7</td>"
        "</tr></table>"
    )
    assert article(table).splitlines() == [
        "Opening hours",
        "| Gate | Day | Hours | Hours |",
        "| --- | --- | --- | --- |",
        "| North | Monday | 8 | 18 |",
        "| North | Friday | 9 sharp | 16 |",
        "| South | Print | PDF | 7 |",
    ]


def test_a_table_that_arranges_the_page_is_no_table() -> None:
    layout = "<table><tr><td class=linenos><pre>1\n2</pre></td><td><pre>open\nclose</pre></td></tr></table>"
    found = parsed(f"<main><h1>Code</h1>{FILLER}{layout}</main>")
    assert [found.text[b.start : b.end] for b in found.blocks if b.kind in ("table", "code")] == ["open\nclose"]


def test_section_titles_are_headings_however_deep_they_are_wrapped() -> None:
    sections = "".join(
        f"<div class=section><div class=titlepage><div><div><h2 class=title>{title}</h2></div></div></div>"
        f"<p>{text}</p></div>"
        for title, text in (("8.3 Which gate?", "The north gate, at any time."), ("8.4 Whose key?", "The guard's."))
    )
    found = parsed(f"<div class=chapter><div><div><h1>8 Gates</h1></div></div>{FILLER}{sections}</div>")
    assert [(b.heading, found.text[b.start : b.end]) for b in found.blocks][-4:] == [
        (("8 Gates",), "8.3 Which gate?"),
        (("8 Gates", "8.3 Which gate?"), "The north gate, at any time."),
        (("8 Gates",), "8.4 Whose key?"),
        (("8 Gates", "8.4 Whose key?"), "The guard's."),
    ]


def test_what_is_not_shown_is_not_read() -> None:
    hidden = "<p hidden>secret</p><p style='display: none'>secret</p><script>secret</script><template>secret</template>"
    assert article(f"<p>The gate is blue.</p>{hidden}") == "The gate is blue."


CONTENT = """<h1>Lot B</h1><p class=date>3 May</p><p>Lot B has forty places, and every employee may park there.</p>
<div class=chunk><p>The gate opens with a badge, and visitors get one at the desk before nine in the morning.</p>
<p>Whoever loses a badge reports it to the guard on the same day, by phone or in person.</p></div>
<div class=ad>Buy tyres now</div>
<div class=chunk><p>Charging costs nothing until eight, and thirty cents a kilowatt hour afterwards for everybody.</p>
<ul><li>PDF</li><li>Google</li></ul><p>Bicycles stand under the roof beside the gate, never in the stairs.</p></div>
<figure><img><figcaption>Lot B seen from the tower.</figcaption></figure>
<table><tr><th>Lot</th><th>Places</th></tr><tr><td>B</td><td>40</td></tr><tr><td>C</td><td>12</td></tr></table>
<h2>Print</h2><p>The plan hangs at the gate.</p>"""
LINKS = "".join(f"<li><a href=/{n}>Story {n} about another town</a></li>" for n in range(9))
AROUND = {
    "semantic": f"<header><nav><ul>{LINKS}</ul></nav></header><main><article>%s</article></main>"
    f"<aside><h3>More stories</h3><ul>{LINKS}</ul></aside><footer>Copyright Acme. All rights reserved.</footer>",
    "divs": f"<div id=top class=navbar><ul>{LINKS}</ul></div><div class=wrap><div class=content>%s</div>"
    f"<div class=sidebar><h3>Trending</h3><ul>{LINKS}</ul></div></div><div class=footer>Copyright Acme.</div>",
    "cookies": "<div class=cookie-consent><p>We use cookies to make this page better for you, and you may decline "
    f"them.</p></div><div><div><div>%s</div><div class=related><h3>Related</h3><ul>{LINKS}</ul></div></div></div>",
}


@pytest.mark.parametrize("around", AROUND)
def test_the_main_content_is_complete_and_alone(around: str) -> None:
    text = parsed(AROUND[around] % CONTENT).text
    expected = Counter(re.findall(r"\w+", re.sub(r"<[^>]*>", " ", CONTENT.replace("Buy tyres now", ""))))
    found = Counter(re.findall(r"\w+", text))
    assert (expected - found).total() <= 0.01 * expected.total()
    assert (found - expected).total() <= 0.02 * found.total()


@pytest.mark.parametrize(
    ("head", "body", "words"),
    [
        ("<title>Sign in</title>", "<form><label>User</label><input><input type=password><button>Go</button></form>",
         "sign-in page"),
        ("<title>Wiki</title>", "<h1>Anmelden</h1><p>Bitte anmelden.</p><form><input type=PASSWORD></form>",
         "sign-in page"),
        ("<title>404 Not Found</title>", "<h1>Oops</h1><p>Nothing is here. Go home.</p>", "does not exist"),
        ("<title>Acme</title>", "<h1>Seite nicht gefunden</h1><p>Zur Startseite.</p>", "does not exist"),
        ("<title>App</title>", "<noscript>You need to enable JavaScript to run this app.</noscript><div id=root></div>"
         "<p>Loading</p>", "JavaScript"),
        ("<title>App</title>", "<div id=app></div><script src=a.js></script><p>Wait</p>", "JavaScript"),
        ("<meta http-equiv=refresh content='0; url=https://wiki.example.org/new'>", "<p>Moved.</p>",
         "https://wiki.example.org/new"),
    ],
)  # fmt: skip
def test_a_page_without_content_is_told_as_such(head: str, body: str, words: str) -> None:
    with pytest.raises(ParseError, match=re.escape(words)) as refused:
        parsed(body, head)
    assert "\n" not in str(refused.value)


def test_content_about_sign_in_errors_and_scripts_is_read() -> None:
    guide = "<h1>Error 404: page not found</h1><p>Enable JavaScript and sign in.</p><input type=password>" + FILLER
    assert "Enable JavaScript" in parsed(f"<main>{guide}</main>").text
    assert "blue" in parsed("<h1>Gate</h1><p>The gate is blue.</p><script></script>").text


TEASERS = {
    "label in a line": "<p>Related: <a href=/a>Ten parking lots that you should see</a></p>",
    "label and link in another language": "<p><b>Lesen Sie auch:</b><br><a href=/b>Wie man in Lissabon parkt</a></p>",
    "heading with linked headings": "<h3>You may also like...</h3><a href=/c><h3>Lot C opens its gate in May</h3></a>",
    "heading with whole pages": "<div><h3>Te puede interesar</h3><article><p>Lot D lies in another town, where nobody "
    "parks at night, and its gate is red.</p></article></div>",
    "appeal": "<p><a href=/s>Subscribe to our newsletter for more about parking</a></p>"
    "<p>Follow us on <a href=//x>Twitter</a> and <a href=//y>Facebook</a>.</p>",
    "advertisement": "<center>Advertisement</center><div>Image 2 of 5</div>",
    "names in camel case": "<div class=relatedContent><p>The very best lots of this year.</p></div>",
    "what only a printer shows": "<div class='d-none d-print-block'>Citation: gates.example.org, today.</div>",
}


@pytest.mark.parametrize("teaser", TEASERS.values(), ids=list(TEASERS))
def test_teasers_between_paragraphs_are_left_out(teaser: str) -> None:
    after = "<p>Lot B has forty places, and the gate of the lot is blue on both of its sides.</p>"
    assert (
        article(f"{teaser}{after}") == "Lot B has forty places, and the gate of the lot is blue on both of its sides."
    )


@pytest.mark.parametrize(
    "body",
    [
        "<h2>Related</h2><p>Related departments share a lot, and nobody pays twice.</p>",
        "<p>Read more about the badge at the desk, which is open from nine to five.</p>",
        "<p>Subscribe to the channel of the lot, and follow the rules of the <a href=/g>guide</a>.</p>",
        "<h2>See also</h2><ul><li><a href=/f>Form for a badge</a></li></ul>",
        "<h2>Forms</h2><p><a href=/f>Request for a place in lot B</a></p>",
        "<table><tr><th>Channel</th><th>Use</th></tr><tr><td>Newsletter</td><td>Comments</td></tr></table>",
        "<p>The same text stands twice.</p><h2>Again</h2><p>The same text stands twice.</p>",
    ],
)
def test_statements_that_look_like_teasers_are_kept(body: str) -> None:
    body += "<p>Lot B has forty places, and the gate of the lot is blue on both of its sides.</p>"
    words = re.findall(r"\w+", re.sub("<[^>]*>", " ", body))
    assert re.findall(r"\w+", article(body)) == words
