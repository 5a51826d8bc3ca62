"""Threads of mails in a mailbox: their order, and quotations that are read once, also from HTML."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage

import pytest

from knowledge.parsing.isolation.sandbox import Parser
from knowledge.parsing.mail.mail_threads import ThreadHeaders, in_thread_order, read_headers
from knowledge.types.documents import Document
from knowledge.types.source_items import Fetched

DAY = datetime(2026, 3, 2, 9, tzinfo=UTC)

GMAIL = """<div>The deposit is 700 now.</div><div class="gmail_quote"><div>On Mon, Mar 2, 2026 at 9:00 AM Ann
&lt;ann@example.org&gt; wrote:<br></div><blockquote><div>The deposit is 500.<br>Bring the key.</div></blockquote>
</div>"""
OUTLOOK = """<p>The deposit is 700 now.</p><p>-- <br>Bob Stone</p><div><p><b>From:</b> Ann &lt;ann@example.org&gt;<br>
<b>Sent:</b> Monday, 2 March 2026 09:00<br><b>To:</b> Bob &lt;bob@example.org&gt;<br><b>Subject:</b> Hall</p></div>
<p>The deposit is 500.</p><p>Bring the key.</p>"""
APPLE = """<div>The deposit is 700 now.</div><blockquote type="cite"><div>On 2. Mar 2026, at 09:00, Ann
&lt;ann@example.org&gt; wrote:</div><div>The deposit is 500.</div><div>Bring the key.</div></blockquote>"""
GERMAN = """<p>Die Kaution beträgt jetzt 700.</p><p>Am 02.03.2026 um 09:00 schrieb Ann &lt;ann@example.org&gt;:</p>
<p>The deposit is 500.</p><p>Bring the key.</p>"""


def mail(
    text: str, *, name: str, answers: tuple[str, ...] = (), days: int = 0, subject: str = "Hall", html: bool = False
) -> bytes:
    message = EmailMessage()
    message["From"], message["Subject"] = f"{name} <{name}@example.org>", subject
    message["Date"], message["Message-ID"] = DAY + timedelta(days=days), f"<{name}@example.org>"
    if answers:
        message["In-Reply-To"] = f"<{answers[-1]}@example.org>"
        message["References"] = " ".join(f"<{one}@example.org>" for one in answers)
    message.set_content(text, subtype="html" if html else "plain")
    return message.as_bytes()


def mailbox(*mails: bytes) -> Fetched:
    return Fetched("hall.mbox", b"".join(b"From nobody Mon Mar  2 09:00:00 2026\n" + one + b"\n\n" for one in mails))


def headings(document: Document) -> list[str]:
    return [document.text[b.start : b.end] for b in document.blocks if b.kind == "heading"]


FIRST = mail("The deposit is 500.\nBring the key.\n", name="Ann")
QUOTE = "\n\nOn Mon, 2 Mar 2026 at 09:00, Ann <Ann@example.org> wrote:\n> The deposit is 500.\n> Bring the key.\n"
SECOND = mail(f"The deposit is 700 now.{QUOTE}", name="Bob", answers=("Ann",), days=1)
THIRD = mail(f"I paid the 700.{QUOTE}", name="Cid", answers=("Ann", "Bob"), days=2)
OTHER = mail("Lunch is at noon.\n", name="Dan", subject="Lunch", days=1)


@pytest.mark.parametrize("order", list(itertools.permutations((FIRST, SECOND, THIRD, OTHER))))
async def test_a_thread_is_read_in_order_and_its_quotations_once(parser: Parser, order: tuple[bytes, ...]) -> None:
    document = await parser.parse(mailbox(*order))
    thread = [one for one in headings(document) if one.startswith("Hall")]
    assert thread == ["Hall (Ann, 2026-03-02)", "Hall (Bob, 2026-03-03)", "Hall (Cid, 2026-03-04)"]
    places = [headings(document).index(one) for one in thread]
    assert places == list(range(places[0], places[0] + 3))
    assert document.text.count("The deposit is 500.") == 1
    assert "wrote:" not in document.text


@pytest.mark.parametrize("html", [GMAIL, OUTLOOK, APPLE, GERMAN], ids=["gmail", "outlook", "apple", "german"])
async def test_quotations_in_html_are_marked_and_read_once_in_a_mailbox(parser: Parser, html: str) -> None:
    reply = mail(html, name="Bob", answers=("Ann",), days=1, html=True)
    alone = await parser.parse(Fetched("reply.eml", reply))
    own = [alone.text[b.start : b.end] for b in alone.blocks if b.kind != "quote"]
    quotes = [alone.text[b.start : b.end] for b in alone.blocks if b.kind == "quote"]
    assert any("700" in text for text in own)
    assert not any("500" in text for text in own)
    assert len(quotes) == 1
    assert "Ann" in quotes[0]
    assert "The deposit is 500." in quotes[0]
    both = await parser.parse(mailbox(reply, FIRST))
    assert both.text.count("The deposit is 500.") == 1
    assert both.text.index("500") < both.text.index("700")


async def test_a_table_in_html_stays_a_table_and_a_forwarded_page_is_the_senders(parser: Parser) -> None:
    table = "<p>Prices:</p><table><tr><th>Plan</th><th>Price</th></tr><tr><td>Team</td><td>12</td></tr></table>"
    document = await parser.parse(Fetched("mail.eml", mail(table, name="Eve", html=True)))
    assert "| Team | 12 |" in document.text
    forwarded = mail(f"<blockquote>{table}</blockquote>", name="Eve", html=True)
    assert "Team" in (await parser.parse(Fetched("mail.eml", forwarded))).text


async def test_a_mail_that_is_in_a_mailbox_twice_is_read_once(parser: Parser) -> None:
    document = await parser.parse(mailbox(FIRST, OTHER, FIRST))
    assert document.text.count("The deposit is 500.") == 1
    assert len(headings(document)) == 2


def test_mails_that_answer_a_missing_mail_or_each_other_are_one_thread() -> None:
    at = [DAY + timedelta(hours=hour) for hour in range(5)]
    mails = [
        ThreadHeaders("<c>", ("<gone>",), at[2]),
        ThreadHeaders("", (), at[0]),
        ThreadHeaders("<b>", ("<gone>", "<c>"), at[0]),  # Its clock is slow: the mail that it answers stays before it.
        ThreadHeaders("<x>", ("<y>",), at[3]),
        ThreadHeaders("<y>", ("<x>",), at[4]),
        ThreadHeaders("", (), at[1]),
    ]
    order = in_thread_order(mails)
    assert sorted(order) == list(range(6))
    assert order[:3] == [0, 2, 1]
    assert {order.index(3), order.index(4)} == {3, 4}


def test_broken_headers_are_no_thread() -> None:
    read = read_headers(b"Message-ID: none\nReferences: <a b> <ok@x>\nDate: soon\nSubject: \xff\n\nText")
    assert (read.message_id, read.references) == ("", ("<ok@x>",))
    assert read_headers(b"").references == ()


async def test_a_quotation_of_a_mail_that_is_not_there_is_read_once(parser: Parser) -> None:
    document = await parser.parse(mailbox(SECOND, THIRD))
    assert document.text.count("The deposit is 500.") == 1
    assert document.text.index("Ann <Ann@example.org> wrote:") < document.text.index("The deposit is 500.")


async def test_a_quotation_whose_lines_were_wrapped_again_is_read_once(parser: Parser) -> None:
    """Mail programs break the lines of a quotation anew when the quotation marks make them too long."""
    words = "The deposit for the large hall is 500 and the key has to be brought back on the next working day."
    first = mail(f"{words}\n", name="Ann")
    wrapped = (
        "> The deposit for the large hall is 500 and the\n> key has to be brought back on the next\n> working day."
    )
    reply = mail(f"Thanks.\n\nOn Mon, Ann wrote:\n{wrapped}\n", name="Bob", answers=("Ann",), days=1)
    document = await parser.parse(mailbox(first, reply))
    assert "Thanks." in document.text
    assert document.text.count("working day") == 1
