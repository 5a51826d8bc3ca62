"""Answers whose layout Slack refuses: they are shown in smaller parts, as plain text, or as a line that says so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest

from bot.engine import user_messages
from bot.engine.display.split import rendered
from bot.engine.display.stream import Display
from bot.engine.markdown import split_by_blocks
from bot.platforms.slack.bot_tokens import StaticToken
from bot.platforms.slack.surface import LIMITS, SlackSurface
from bot.platforms.slack.web_client import create_clients
from bot.types.display import Citation
from tests.doubles import slack_blocks
from tests.doubles.slack import SlackDouble
from tests.doubles.slack_world import Message
from tests.slack.conftest import slack_settings

REFUSALS = ("invalid_blocks", "msg_blocks_too_long", "msg_too_long")
CITED = Citation(1, "https://handbook.example/leave", "Leave", "Everyone has 30 days.")


@asynccontextmanager
async def surface_of(slack: SlackDouble, asker: str = "") -> AsyncIterator[tuple[SlackSurface, Message]]:
    """Yield the surface of a question in the general channel, and the question."""
    question = await slack.say("general", "alice", "a question")
    async with aiohttp.ClientSession() as session:
        client = create_clients(slack_settings(slack), session, StaticToken(slack.bot_token)).single_attempt
        yield SlackSurface(client, question.channel, question.ts, asker=asker), question


@asynccontextmanager
async def displayed(slack: SlackDouble) -> AsyncIterator[tuple[Display, Message]]:
    """Yield an open display of an answer, and the question."""

    async def record(index: int, ref: str | None, *, replaced: str | None = None) -> None:
        return None

    async with (
        surface_of(slack) as (surface, question),
        Display(surface, turn_id="turn-1", record=record, sleep=lambda _: asyncio.sleep(0)) as display,
    ):
        await display.open("…")
        yield display, question


@pytest.mark.parametrize("error", REFUSALS)
async def test_a_refused_layout_is_followed_by_simpler_ones(slack: SlackDouble, error: str) -> None:
    async with displayed(slack) as (display, question):
        for _ in range(2):
            slack.fail_next("chat.update", error)
        await display.close("**Everyone** has 30 days.", sources=(CITED,), notes=("A note.",), actions=("why",))
    (answer,) = slack.replies(question)
    assert answer.now.blocks == []
    assert "Everyone" in answer.shown
    assert "<https://handbook.example/leave" in answer.shown
    assert "A note." in answer.shown
    assert answer.now.buttons == [], "the stop button is gone"
    assert [method for method, _ in slack.calls].count("chat.update") == 3


async def test_if_no_layout_is_accepted_the_asker_is_told_and_gets_the_file(slack: SlackDouble) -> None:
    async with displayed(slack) as (display, question):
        for error in REFUSALS:
            slack.fail_next("chat.update", error)
        await display.close("**Everyone** has 30 days.", actions=("why",))
    answer, file = slack.replies(question)
    assert user_messages.NOT_DISPLAYABLE in answer.shown
    assert list(slack.uploaded.values()) == [b"**Everyone** has 30 days."]
    assert file.files[0]["name"] == "answer.md"


async def test_a_smaller_part_is_accepted_with_its_sources(slack: SlackDouble) -> None:
    text = "\n\n".join(f"Paragraph {number} " + "word " * 150 for number in range(10))
    async with displayed(slack) as (display, question):
        slack.fail_next("chat.update", "msg_blocks_too_long")
        await display.close(text, sources=(CITED,), actions=("why",))
    replies = slack.replies(question)
    assert len(replies) == 2
    assert replies[-1].now.buttons == ["parley_why"]
    assert all(f"Paragraph {number} " in "".join(reply.shown for reply in replies) for number in range(10))


@pytest.mark.parametrize(
    "text",
    [
        "\n\n".join(f"## Heading {number}\n\nText {number}." for number in range(40)),
        "\n\n".join(f"```\ncode {number}\n```" for number in range(70)),
        "\n\n".join(f"| a | b |\n|---|---|\n| {number} | x |\n\nText {number}." for number in range(40)),
        "\n\n".join(f"Text {number}.\n\n---" for number in range(40)),
        "\n".join(f"***\ntext {number}\n- - -" for number in range(40)),
        "\n\n".join(f"Heading {number}\n-------\nText {number}." for number in range(40)),
        "\n".join(f"# H{number}\ntext {number}\n```xml\n<a>{number}</a>\n```" for number in range(30)),
    ],
)
async def test_an_answer_of_many_blocks_is_divided_as_slack_counts(slack: SlackDouble, text: str) -> None:
    async with displayed(slack) as (display, question):
        await display.close(text, sources=(CITED,) * 12, notes=("A note.",), actions=("why",))
    replies = slack.replies(question)
    assert len(replies) > 1
    assert all(slack_blocks.rendered_blocks(reply.now.blocks) <= 50 for reply in replies)
    assert [error for method, error in slack.calls if method == "chat.update" and not error.get("blocks")] == []
    assert all(line in "\n".join(reply.shown for reply in replies) for line in text.split("\n"))


async def test_a_fence_of_markup_is_divided_by_its_escaped_length(slack: SlackDouble) -> None:
    text = "```xml\n" + "<item>value &amp; more</item>\n" * 338 + "```"
    async with displayed(slack) as (display, question):
        await display.close(text)
    assert len(slack.replies(question)) > 1
    assert all(slack_blocks.message_units(reply.now.blocks) <= 13_200 for reply in slack.replies(question))


def test_dividing_is_stable_while_a_text_grows_and_keeps_fences_whole() -> None:
    text = "\n".join(f"# H{number}\n\ntext {number}\n\n```\n# no heading\n\ncode\n```" for number in range(20))
    whole = split_by_blocks(text, 8)
    for end in range(0, len(text), 7):
        pieces = split_by_blocks(text[:end], 8)
        assert pieces[:-1] == whole[: max(0, len(pieces) - 1)]
    assert all(piece.count("```") % 2 == 0 for piece in whole)
    assert "".join("".join(whole).split()) == "".join(text.split())
    assert rendered("short", LIMITS, frozenset()).parts == ["short"]
