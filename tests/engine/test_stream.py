"""When the display edits, and how it slows down and recovers."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest

from bot.errors import RateLimited
from tests.engine.display_harness import EVERY, SOURCE, Harness, _wait, stream, turns


async def test_status_then_text_then_final_answer() -> None:
    harness = Harness()
    async with harness.display as display:
        await display.open("Searching…")
        assert harness.channel.texts == ["Searching…"]
        display.show("Hello **wor")
        await turns()
        assert harness.channel.texts == ["Hello **wor**"]
        (streaming,) = harness.channel.messages.values()
        assert (streaming.actions, streaming.final, streaming.nonce) == (("stop",), False, "t1:0")
        shown = await display.close("Hello **world**", sources=[SOURCE], notes=["From memory"], actions=("up", "down"))
    assert tuple(harness.channel.messages.values()) == shown
    (part,) = shown
    assert (part.text, part.final, part.sources) == ("Hello **world**", True, (SOURCE,))
    assert (part.notes, part.actions) == (("From memory",), ("up", "down"))


async def test_a_message_is_recorded_before_it_is_posted_and_after() -> None:
    harness = Harness()
    async with harness.display as display:
        await display.open("…")
        await display.close("word " * 900)
    refs = list(harness.channel.messages)
    assert len(refs) == 3
    assert harness.recorded == [(0, None), (0, refs[0]), (1, None), (1, refs[1]), (2, None), (2, refs[2])]


async def test_edits_keep_the_interval() -> None:
    harness = Harness()
    async with harness.display as display:
        await display.open("…")
        await stream(harness, "word " * 300)
        await turns()
    times = harness.channel.times("edit")
    assert len(times) > 5
    assert all(later - earlier >= EVERY - 1e-6 for earlier, later in pairwise(times))


async def test_the_newest_text_follows_a_slow_edit() -> None:
    harness = Harness()
    gate = asyncio.Event()

    async with harness.display as display:
        await display.open("…")
        harness.channel.slow = lambda: _wait(gate)
        for text in ("one", "one two", "one two three", "one two three four"):
            display.show(text)
            await turns()
        assert len(harness.channel.calls) == 2
        gate.set()
        await turns()
        assert harness.channel.texts == ["one two three four"]
    assert len(harness.channel.calls) == 3
    assert harness.channel.most_in_flight == 1


async def test_the_final_text_waits_for_an_edit_in_flight() -> None:
    harness = Harness()
    gate = asyncio.Event()
    async with harness.display as display:
        await display.open("…")
        harness.channel.slow = lambda: _wait(gate)
        display.show("draft")
        await turns()
        closing = asyncio.create_task(display.close("final"))
        await turns()
        assert [part.text for _, _, part in harness.channel.calls if part] == ["…", "draft"]
        gate.set()
        await closing
    assert harness.channel.texts == ["final"]
    assert harness.channel.most_in_flight == 1


async def test_an_unchanged_message_is_not_edited() -> None:
    harness = Harness()
    async with harness.display as display:
        await display.open("…")
        for _ in range(5):
            display.show("same")
            await turns()
        assert len(harness.channel.calls) == 2
        await display.close("same")
        assert len(harness.channel.calls) == 3


async def test_rate_limits_reduce_edits_and_the_final_text_arrives() -> None:
    calm, storm = Harness(), Harness()
    text = "word " * 350
    async with calm.display as display:
        await display.open("…")
        await stream(calm, text)
        await display.close(text)
    async with storm.display as display:
        await display.open("…")
        storm.channel.errors = [RateLimited("slow down", retry_after=10)] * 3
        await stream(storm, text)
        storm.channel.errors = [RateLimited("slow down", retry_after=10)] * 4
        before = storm.clock.now
        await display.close(text)
    assert storm.channel.texts == [text.strip()]
    assert storm.clock.now - before >= 40
    rate = len(storm.channel.calls) / (storm.clock.now - 1000)
    assert rate < len(calm.channel.calls) / (calm.clock.now - 1000)


async def test_the_edit_interval_recovers_slowly() -> None:
    harness = Harness()
    async with harness.display as display:
        await display.open("…")
        harness.channel.errors = [None, RateLimited("slow down", retry_after=1)]
        await stream(harness, "word " * 400, step=50)
        await turns()
    edits = harness.channel.times("edit")[3:]
    gaps = [round(later - earlier, 6) for earlier, later in pairwise(edits)]
    assert gaps[0] > EVERY
    assert gaps == sorted(gaps, reverse=True)
    assert gaps[-1] == pytest.approx(EVERY)


async def test_retry_after_is_respected() -> None:
    harness = Harness()
    async with harness.display as display:
        await display.open("…")
        harness.channel.errors = [RateLimited("slow down", retry_after=30)]
        display.show("text")
        await turns()
        display.show("text more")
        await turns()
    first, second, *_ = harness.channel.times("edit")
    assert second - first >= 30
