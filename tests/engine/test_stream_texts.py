"""What the display shows: long texts, sanitized parts, notes about files, and how it ends."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.engine import user_messages as said
from bot.engine.display import output_filter
from bot.engine.display import split as cutting
from bot.engine.display.output_filter import sanitize
from bot.engine.display.split import rendered
from bot.engine.display.stream import Display
from bot.engine.display.urls import urls_in
from bot.errors import MessageGone, SurfaceError
from bot.types.display import Limits
from tests.engine.display_harness import EVERY, SOURCE, Channel, Clock, Harness, stream, turns


async def test_thirty_thousand_characters_arrive_in_full_with_few_edits() -> None:
    harness = Harness(Limits(2000, EVERY, 40))
    text = "\n\n".join(f"## Chapter {n}\n\n" + f"Sentence {n} says something. " * 20 for n in range(55))
    assert len(text) > 30_000
    async with harness.display as display:
        await display.open("…")
        await stream(harness, text, step=400)
        finished = [part for part in harness.channel.messages.values() if part.final]
        assert len(finished) == len(harness.channel.messages) - 1
        before = len(harness.channel.calls)
        shown = await display.close(text, sources=[SOURCE], actions=("up",))
        assert len(harness.channel.calls) - before <= 2
    assert "".join("".join(harness.channel.texts).split()) == "".join(text.split())
    assert [part.text for part in shown] == harness.channel.texts
    assert all(part.final and not part.sources and not part.actions for part in shown[:-1])
    assert shown[-1].sources == (SOURCE,)
    assert all(len(text) <= 2000 for text in harness.channel.texts)
    assert not shown[-1].notes


async def test_a_too_long_answer_ends_with_a_notice() -> None:
    harness = Harness(Limits(500, EVERY, 3))
    text = " ".join(f"word{n}" for n in range(1000))
    async with harness.display as display:
        await display.open("…")
        shown = await display.close(text)
    assert len(harness.channel.messages) == 3
    assert "too long to show in full" in harness.channel.texts[-1]
    assert shown[-1].notes == (said.REST_CUT,)


@dataclass
class Uploads(Channel):
    """A channel that takes files, or refuses them with ``refusal``."""

    refusal: Exception | None = None
    files: dict[str, bytes] = field(default_factory=dict)

    async def hand_over(self, name: str, data: bytes) -> None:
        if self.refusal:
            raise self.refusal
        self.files[name] = data


@pytest.mark.parametrize("refusal", [None, SurfaceError("missing_scope"), MessageGone("no permission")])
async def test_the_note_about_the_file_is_true(refusal: Exception | None) -> None:
    clock = Clock()
    channel = Uploads(clock, Limits(500, EVERY, 3), refusal=refusal)
    text = " ".join(f"word{n}" for n in range(1000))

    async def record(index: int, ref: str | None, *, replaced: str | None = None) -> str | None:
        return ref

    display = Display(channel, turn_id="t1", record=record, monotonic=clock.monotonic, sleep=clock.sleep)
    async with display:
        await display.open("…")
        shown = await display.close(text, notes=["A note"], actions=("up",))
    last = list(channel.messages.values())[-1]
    assert last == shown[-1]
    assert last.notes == ("A note", said.REST_CUT if refusal else said.REST_IN_FILE)
    assert last.actions == ("up",)
    assert channel.files == ({} if refusal else {said.WHOLE_ANSWER: text.encode()})
    assert clock.now < 1000 + 60


async def test_everything_shown_is_sanitized() -> None:
    allowed = urls_in("https://ok.example/page")
    harness = Harness(allowed=allowed)
    text = "See [this](https://evil.example/?q=1), [that](https://ok.example/page) <!channel> ![x](https://evil.example/i.png)"
    async with harness.display as display:
        await display.open("<!here> https://evil.example")
        await stream(harness, text, step=3)
        await display.close(text)
    seen = [part.text for _, _, part in harness.channel.calls if part]
    assert len(seen) > 5
    for shown in seen:
        assert "](https://evil" not in shown
        assert "<!" not in shown
        assert sanitize(shown, allowed) == shown
    assert "[that](https://ok.example/page)" in harness.channel.texts[0]


@given(
    st.lists(
        st.sampled_from(["`", "```\n", "[a](", "http://evil.example/x ", ")", "\n", "<b>", "word " * 9, "\\", "|"]),
        max_size=60,
    )
)
@settings(max_examples=150, deadline=None)
def test_every_part_is_sanitized_and_fits(pieces: list[str]) -> None:
    for part in rendered("".join(pieces), Limits(100, 1.0, 50), frozenset()).parts:
        assert len(part) <= 100
        assert sanitize(part, frozenset()) == part


async def test_an_abandoned_display_leaves_no_task() -> None:
    harness = Harness()
    tasks = asyncio.all_tasks()
    await harness.display.open("…")
    harness.display.show("text")
    assert len(asyncio.all_tasks()) == len(tasks) + 1
    await harness.display.abandon()
    await harness.display.abandon()
    assert asyncio.all_tasks() == tasks


async def test_a_cancelled_turn_leaves_no_task() -> None:
    harness = Harness()
    tasks = asyncio.all_tasks()

    async def turn() -> None:
        async with harness.display as display:
            await display.open("…")
            await asyncio.Event().wait()

    running = asyncio.create_task(turn())
    await turns()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert asyncio.all_tasks() == tasks


async def test_an_empty_answer_still_ends_the_placeholder() -> None:
    harness = Harness()
    async with harness.display as display:
        await display.open("Searching…")
        (part,) = await display.close("")
    assert part.final
    assert harness.channel.texts == ["Searching…"]


def test_a_text_that_is_not_split_is_sanitized_once(monkeypatch: pytest.MonkeyPatch) -> None:
    gated: list[str] = []

    def counted(text: str, allowed: frozenset[str]) -> str:
        gated.append(text)
        return output_filter.sanitize(text, allowed)

    monkeypatch.setattr(cutting, "sanitize", counted)
    assert rendered("One short answer.", Limits(4000, 0.0), frozenset()).parts == ["One short answer."]
    assert gated == ["One short answer."]
    cut = rendered("word " * 200 + "`code " + "word " * 200 + "`", Limits(600, 0.0), frozenset())
    assert len(cut.parts) > 1
    assert len(gated) > 1 + len(cut.parts), "what was cut is gated again"
