"""Tests that Markdown and tables become safe HTML, and that hosts and URLs are checked."""

from __future__ import annotations

import pytest

from bot.commands.base import Table
from bot.engine.display.urls import urls_in
from bot.platforms.web import render
from bot.platforms.web.request_guard import allowed_hosts, host_allowed
from bot.platforms.web.uvicorn_server import address, listen
from bot.types.display import Citation


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "a <img src=x onerror=alert(1)> b",
        "[x](javascript:alert(1))",
        "[x](JaVaScRiPt&#58;alert(1))",
        "[x](data:text/html;base64,AAAA)",
        "[x](/api/threads)",
        "![x](https://evil.example/leak.png)",
        '[x](https://a.example/"onclick="alert(1))',
        "[x]: javascript:alert(1)\n\n[x]",
        '```"><script>\nx\n```',
    ],
)
def test_unsafe_html_and_links_are_neutralized(text: str) -> None:
    html = "".join(render.blocks(text))
    for live in ("<script", "<img", ' onclick="', 'href="javascript', 'href="data', 'href="/'):
        assert live not in html


def test_links_send_no_referrer_and_no_opener() -> None:
    links = urls_in("https://a.example/b?c=1&d=2")
    assert render.blocks("[x](https://a.example/b?c=1&d=2)", links=links) == (
        '<p><a href="https://a.example/b?c=1&amp;d=2" target="_blank" rel="noopener noreferrer nofollow">x</a></p>',
    )


def test_markers_of_known_sources_become_buttons() -> None:
    html = "".join(render.blocks("a[1][2] **b [1]** `c[1]` [3]", frozenset({1, 2})))
    assert html.count('data-n="1"') == 2
    assert html.count('data-n="2"') == 1
    assert "<code>c[1]</code>" in html
    assert "[3]" in html


def test_markers_are_inactive_while_sources_are_pending() -> None:
    assert render.blocks("a [1]", pending=True) == ('<p>a <span class="cite pending">1</span></p>',)


def test_each_top_level_block_is_rendered_separately() -> None:
    text = "# T\n\nx\n\n- a\n\n  b\n- c\n\n> q\n> r\n\n| a |\n|:-:|\n| 1 |\n\n```\ny\n\nz\n```\n\n---\n"
    found = render.blocks(text)
    assert [block.split(">")[0] + ">" for block in found] == [
        "<h1>",
        "<p>",
        "<ul>",
        "<blockquote>",
        '<div class="scroll" tabindex="0" role="group" aria-label="Table">',
        '<div class="code">',
        "<hr />",
    ]
    assert '<th class="center">a</th>' in found[4]
    assert "style=" not in "".join(found)


def test_a_source_keeps_the_quote_as_its_document_has_it() -> None:
    hidden = render.source(Citation(1, "a.md", "A", "At most\u200b nine days.", document_id="d", start=7))
    assert (hidden.quote, hidden.literal, hidden.start) == ("At most nine days.", "At most\u200b nine days.", 7)
    assert render.source(Citation(1, "a.md", "A", "At most nine days.")).literal == ""


def test_code_is_highlighted_if_its_language_is_known() -> None:
    (known,) = render.blocks('```python\nif x < 1:  # "<b>"\n    pass\n```')
    assert '<span class="k">if</span>' in known
    assert "&lt;b&gt;" in known
    (unknown,) = render.blocks("```no-such-language\nx < 1\n```")
    assert "x &lt; 1" in unknown
    assert "<span>no-such-language</span>" in unknown
    (hostile,) = render.blocks('```"><script>\n</code><script>alert(1)</script>\n```')
    assert "<script" not in hostile
    (long,) = render.blocks(f"```python\n{'if x: pass' * 3000}\n```")
    assert 'class="k"' not in long


def test_items_of_task_lists_have_a_box() -> None:
    (tasks,) = render.blocks("- [x] done\n- [ ] open\n- [link]\n")
    assert tasks.count('<input type="checkbox" disabled') == 2
    assert '<input type="checkbox" disabled checked aria-label="Task"> done' in tasks
    assert "[link]" in tasks


def test_a_table_aligns_numbers_and_escapes_text() -> None:
    html = render.table(Table(("Name", "Cost"), [("<i>", 0.25), ("b", None)]))
    assert '<td class="short">&lt;i&gt;</td><td class="right short">0.25</td>' in html
    assert '<td class="right short">–</td>' in html
    assert "nothing yet" in render.table(Table(("Name",), []))


@pytest.mark.parametrize(
    ("bound", "header", "allowed"),
    [
        ("127.0.0.1", "127.0.0.1:8080", True),
        ("127.0.0.1", "LOCALHOST:9", True),
        ("127.0.0.1", "[::1]:8080", True),
        ("127.0.0.1", "192.168.1.5:8080", False),
        ("0.0.0.0", "192.168.1.5:8080", True),
        ("0.0.0.0", "rebound.example:8080", False),
        ("parley.internal", "parley.internal", True),
        ("parley.internal", "other.internal", False),
        ("127.0.0.1", "[::1", False),
    ],
)
def test_host_header_check(bound: str, header: str, allowed: bool) -> None:
    assert host_allowed(header, allowed_hosts(bound)) is allowed


def test_the_url_of_all_interfaces_is_the_loopback_address() -> None:
    sock = listen("0.0.0.0", 0)
    try:
        assert address("0.0.0.0", sock) == f"http://127.0.0.1:{sock.getsockname()[1]}"
        assert address("::1", sock).startswith("http://[::1]:")
    finally:
        sock.close()


def test_a_table_aligns_formatted_numbers_and_shortens_ids() -> None:
    key = "697fed8a-dbf0-4118-9b1e-4aef565fa71b"
    html = render.table(Table(("ID", "Score", "Text"), [(key, "3.4e+02", "1 of 2"), (key, "-", "x")]))
    assert f'<td><code class="id" title="{key}">{key}</code></td><td class="right short">3.4e+02</td>' in html
    assert '<td class="short">1 of 2</td>' in html
