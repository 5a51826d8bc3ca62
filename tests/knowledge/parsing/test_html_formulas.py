"""Formulas of a page keep their meaning: a divided by b is not ab, and 10 to the power of 6 is not 106."""

from __future__ import annotations

import pytest

from knowledge.parsing import parsers


@pytest.mark.parametrize(
    ("formula", "text"),
    [
        ("<mfrac><mi>a</mi><mi>b</mi></mfrac>", "a/b"),
        ("<mfrac>\n <mrow><mi>a</mi><mo>+</mo><mn>1</mn></mrow>\n <mn>2</mn>\n</mfrac>", "(a+1)/2"),
        ("<mfrac><mn>1</mn><mfrac><mi>a</mi><mi>b</mi></mfrac></mfrac>", "1/(a/b)"),
        ("<mfrac linethickness=0><mi>n</mi><mi>k</mi></mfrac>", "nk"),
        ("<mn>4</mn><mo>×</mo><msup><mn>10</mn><mn>6</mn></msup>", "4×10^6"),
        ("<msup><mn>10</mn><mrow><mo>−</mo><mn>3</mn></mrow></msup>", "10^−3"),
        ("<msup><mi>e</mi><mrow><mi>a</mi><mi>b</mi></mrow></msup>", "e^ab"),
        ("<msup><mi>e</mi><mrow><mi>x</mi><mo>+</mo><mn>1</mn></mrow></msup>", "e^(x+1)"),
        ("<msup><mn>90</mn><mo>°</mo></msup>", "90°"),
        ("<msubsup><mi>x</mi><mn>1</mn><mn>2</mn></msubsup>", "x1^2"),
        ("<msqrt><mi>a</mi><mo>+</mo><mi>b</mi></msqrt>", "√(a+b)"),
        ("<mfrac><mi>a</mi></mfrac>", "a"),
    ],
)
def test_a_formula_is_read_on_one_line_with_its_meaning(formula: str, text: str) -> None:
    page = f"<html><body><main><p>The rate is <math>{formula}</math> today.</p></main></body></html>"

    assert parsers.parse(page.encode(), "rate.html").text == f"The rate is {text} today."
