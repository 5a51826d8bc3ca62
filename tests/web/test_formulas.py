"""Tests that formulas are found in answers, told from money, and drawn as MathML without running anything in them."""

from __future__ import annotations

import pytest
from selenium.webdriver.common.keys import Keys

from bot.platforms.web import render
from bot.platforms.web.math_markup import MAX_CHARS
from tests.web.accessibility import faults
from tests.web.browser import browsing, console_errors, find_all, look, requires_chromium, texts, type_keys, wait_until
from tests.web.conftest import Running
from tests.web.fakes import PIECES


def html_of(text: str) -> str:
    return "".join(render.blocks(text, frozenset({1})))


@pytest.mark.parametrize(
    ("text", "formula"),
    [
        ("Energy is $E=mc^2$.", '<code class="formula">E=mc^2</code>'),
        (r"So \(a_1 < b\) holds", '<code class="formula">a_1 &lt; b</code>'),
        (r"So \[ \frac{1}{2} \] holds", r'<code class="formula display">\frac{1}{2}</code>'),
        ("It is $$a*b*c$$", '<code class="formula display">a*b*c</code>'),
        ("$$\n\\sum x_i\n= 5\n- y\n$$\nafter", '<code class="formula display">\\sum x_i\n= 5\n- y</code>'),
        ("\\[\nx\n\n\\]", '<code class="formula display">x</code>'),
        ("1. item\n\n   $$\n   x\n   $$", '<code class="formula display">x</code>'),
        ("> $$\n> x\n> $$", '<code class="formula display">x</code>'),
        ("| a |\n|---|\n| $x$ |", '<td><code class="formula">x</code></td>'),
        (r"a price of $\$5$", r'<code class="formula">\$5</code>'),
        ("a place in it, $x[1]$", '<code class="formula">x[1]</code>'),
    ],
)
def test_formulas_are_found(text: str, formula: str) -> None:
    assert formula in html_of(text)


@pytest.mark.parametrize(
    "text",
    [
        "It costs $5 and $10.",
        "From $5-$10, or US$5/US$6.",
        "Set $HOME/$USER and $PATH.",
        "`$x$` and ``$$y$$``",
        "```\n$x$\n$$\ny\n$$\n```",
        "    $$\n    y\n    $$",
        r"Not \$x\$ either",
        "$ x $, $x $ and $ x$",
        "$x$1 and 1$x$",
        "$$\nnever closed",
        r"\(\) and \[ \]",
        "$a\nb$",
        f"${'x' * (MAX_CHARS + 1)}$",
    ],
)
def test_money_code_and_halves_are_none(text: str) -> None:
    assert "formula" not in html_of(text)


def test_a_formula_is_text_until_it_is_drawn() -> None:
    assert '<code class="formula">\\text{&lt;b&gt;}</code>' in html_of(r"$\text{<b>}$").replace("`", "")
    assert "<a " not in html_of("$[x](javascript:alert(1))$ $[x](https://evil.example)$")


ANSWER = (
    "The mean is $\\bar{x} = \\frac{1}{n} \\sum_{i=1}^{n} x_i$, which costs $5 and $10.\n\n"
    "$$\n\\begin{pmatrix} a & b \\\\ c & d \\end{pmatrix}\n= \\sqrt{2}\n$$\n\n"
    "Wrong: $\\frac{1}$. Links: $\\href{javascript:alert(1)}{x}$ and $\\class{evil}{y}$. "
    "Endless: $\\def\\a{\\a\\a}\\a$.\n"
)


@requires_chromium
async def test_formulas_are_drawn_and_nothing_in_them_runs(page: Running) -> None:
    page.dispatcher.pieces = (ANSWER,)
    page.release(len(PIECES))
    async with browsing(page.address) as driver:
        await wait_until(driver, lambda driver: texts(driver, "#connection") == ["connected"])
        await type_keys(driver, "What is the mean?", Keys.ENTER)
        await wait_until(driver, lambda driver: find_all(driver, ".msg.assistant.final"))
        await wait_until(driver, lambda driver: len(find_all(driver, ".body math")) == 2)
        assert len(find_all_now := await look(driver, lambda driver: texts(driver, "code.formula"))) == 4, find_all_now
        drawn = "return [...document.querySelectorAll('.body math')].map((one) => one.getBoundingClientRect().height)"
        assert min(await look(driver, lambda driver: driver.execute_script(drawn))) > 15
        assert await look(driver, lambda driver: find_all(driver, ".body a, .body .evil")) == []
        assert await faults(driver, name="formulas") == []
        assert await look(driver, console_errors) == []
