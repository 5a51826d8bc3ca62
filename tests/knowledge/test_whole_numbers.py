"""Numbers in untrusted text: only ASCII digits that fit into 64 bits are read, and nothing raises."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.commands import memory
from bot.commands.arguments import start_of
from bot.errors import UsageError
from bot.llm.providers import provider_errors
from bot.llm.providers.error_body import ErrorBody
from bot.platforms.slack.message_text import plain_text
from knowledge.parsing import parsers
from knowledge.whole_numbers import whole_number

DIGITS = "9" * 5_000
"""More digits than ``int`` reads."""
INFO = provider_errors.ProviderInfo("p", "P", "P_KEY", "P_URL")


@pytest.mark.parametrize(
    ("text", "number"),
    [("0", 0), ("007", 7), ("9" * 18, 10**18 - 1), ("9" * 19, None), (DIGITS, None), ("²", None), ("٣", None)],
)
def test_only_short_ascii_numbers_are_read(text: str, number: int | None) -> None:
    assert whole_number(text) == number


@given(st.text(max_size=40))
def test_no_text_raises(text: str) -> None:
    assert whole_number(text) in (None, int(text) if text.isdecimal() else None)


@pytest.mark.parametrize("seconds", ["9" * 18, DIGITS, "253402300800"])
def test_a_date_that_does_not_exist_is_shown_without_a_time(seconds: str) -> None:
    assert plain_text(f"until <!date^{seconds}^{{date}}>") == "until @date"


@pytest.mark.parametrize("number", [DIGITS, "²"])
def test_commands_refuse_numbers_that_cannot_be_read(number: str) -> None:
    with pytest.raises(UsageError):
        start_of(f"{number}h", datetime.now(UTC))
    with pytest.raises(UsageError):
        memory._numbered([], number)


def test_numbers_in_the_errors_of_providers_are_read_without_a_limit_of_digits() -> None:
    error = provider_errors.from_status(INFO, "m", 400, ErrorBody(message=f"maximum context length is {DIGITS} tokens"))
    assert error.kind == "context"
    assert provider_errors.from_error_body(INFO, "m", ErrorBody(code=DIGITS, message="no")).status is None


@pytest.mark.parametrize("number", [DIGITS, "²"])
def test_a_page_with_unreadable_numbers_is_read(number: str) -> None:
    page = f'<ol start="{number}"><li>One</li></ol><p role="heading" aria-level="{number}">Two</p>'
    page += f'<table><tr><td rowspan="{number}">Three</td><td>Four</td></tr></table>'
    text = parsers.parse(f"<html><body><main>{page}</main></body></html>".encode(), "page.html").text
    assert all(word in text for word in ("One", "Two", "Three", "Four"))
