"""The display when the surface fails, messages are deleted, the lease is lost or the process has crashed."""

from __future__ import annotations

import pytest

from bot.engine.display.edit_pacing import SharedPacing
from bot.engine.display.stream import Display
from bot.errors import LeaseLost, MessageGone, PlatformAway, RateLimited, StoreAway, SurfaceError
from bot.types.display import Limits
from tests.engine.display_harness import EVERY, Harness, stream, turns


@pytest.mark.parametrize("error", [SurfaceError("500"), TimeoutError("edit"), ConnectionResetError()])
async def test_temporary_failures_are_retried(error: Exception) -> None:
    harness = Harness()
    harness.channel.errors = [error, error]
    async with harness.display as display:
        await display.open("Searching…")
        assert harness.channel.texts == []
        await turns()
        assert harness.channel.texts == ["Searching…"]
        harness.channel.errors = [error, error, error]
        await display.close("final")
    assert harness.channel.texts == ["final"]


async def test_an_edit_that_failed_after_it_was_applied_is_repeated() -> None:
    harness = Harness()
    drafts = ["a b", "a"]
    async with harness.display as display:
        await display.open("…")
        display.show("a")
        await turns()
        harness.channel.errors = [TimeoutError("applied all the same")]
        harness.channel.applies_anyway = True
        display.show(lambda: drafts.pop(0) if len(drafts) > 1 else drafts[0])
        await turns()
        assert [part.text for _, _, part in harness.channel.calls if part] == ["…", "a", "a b", "a"]
        assert harness.channel.texts == ["a"]


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (SurfaceError("down"), SurfaceError),
        (PlatformAway("down"), PlatformAway),
        (TimeoutError("down"), PlatformAway),
        (StoreAway("down"), PlatformAway),
        (KeyError("down"), SurfaceError),
    ],
)
async def test_a_failure_that_lasts_is_raised_after_a_short_time(error: Exception, kind: type[SurfaceError]) -> None:
    harness = Harness()
    async with harness.display as display:
        await display.open("…")
        harness.channel.later_error = error
        with pytest.raises(SurfaceError) as raised:
            await display.close("final")
    assert type(raised.value) is kind
    assert 10 <= harness.clock.now - 1000 < 20


@pytest.mark.parametrize(("wait", "is_waited"), [(90.0, True), (300.0, False)])
async def test_a_final_text_waits_out_a_rate_limit_of_up_to_two_minutes(wait: float, is_waited: bool) -> None:
    harness = Harness()
    async with harness.display as display:
        await display.open("…")
        harness.channel.errors = [RateLimited("slow down", retry_after=wait)]
        if is_waited:
            await display.close("final")
        else:
            with pytest.raises(RateLimited) as raised:
                await display.close("final")
            assert raised.value.retry_after == wait
    assert (harness.channel.texts == ["final"]) == is_waited
    assert harness.clock.now - 1000 < (wait if is_waited else 0) + 20


async def test_a_final_text_does_not_wait_for_the_long_rate_limit_of_another_reply() -> None:
    harness, shared = Harness(), SharedPacing(50.0)
    display = Display(
        harness.channel,
        turn_id="t1",
        record=harness.record,
        shared=shared,
        monotonic=harness.clock.monotonic,
        sleep=harness.clock.sleep,
    )
    shared.refused(harness.clock.now, 300.0)
    async with display:
        with pytest.raises(RateLimited) as raised:
            await display.close("final")
    assert raised.value.retry_after == 300
    assert harness.channel.calls == []


async def test_a_deleted_message_ends_the_display() -> None:
    harness = Harness()
    async with harness.display as display:
        await display.open("…")
        harness.channel.later_error = MessageGone("deleted")
        display.show("a")
        await turns()
        assert display.gone
        calls = len(harness.channel.calls)
        display.show("a b")
        await turns()
        assert len(harness.channel.calls) == calls
        with pytest.raises(MessageGone):
            await display.close("final")


async def test_a_lost_lease_ends_the_display() -> None:
    harness = Harness(Limits(100, EVERY))
    harness.lost = True
    with pytest.raises(LeaseLost):
        await harness.display.open("…")
    assert harness.channel.calls == []
    harness = Harness(Limits(100, EVERY))
    async with harness.display as display:
        await display.open("…")
        harness.lost = True
        display.show("word " * 60)
        await turns()
        with pytest.raises(LeaseLost):
            await display.close("word " * 60)
    assert len(harness.channel.messages) == 1


async def test_after_a_crash_the_recorded_messages_are_edited() -> None:
    harness = Harness(Limits(100, EVERY), parts=("old0", "old1", "old2"))
    async with harness.display as display:
        await display.open("Going on…")
        assert harness.channel.messages["old0"].text == "Going on…"
        await display.close("word " * 30)
    assert list(harness.channel.messages) == ["old0", "old1"]
    assert all(part.final for part in harness.channel.messages.values())
    assert harness.recorded == []
    assert harness.channel.times("post") == []


async def test_a_restart_overwrites_the_draft_and_deletes_surplus_messages() -> None:
    harness = Harness(Limits(100, EVERY))
    async with harness.display as display:
        await display.open("Searching…")
        await stream(harness, "first attempt " * 30)
        await turns()
        assert len(harness.channel.messages) > 3
        display.show("")
        await turns()
        assert harness.channel.texts[0] == "Searching…"
        await display.close("Second attempt.")
    assert harness.channel.texts == ["Second attempt."]


async def test_a_surplus_message_that_cannot_be_deleted_does_not_spoil_the_answer() -> None:
    harness = Harness(Limits(100, EVERY))
    async with harness.display as display:
        await display.open("…")
        await stream(harness, "word " * 30)
        await turns()
        harness.channel.errors = [None, MessageGone("already")]
        shown = await display.close("Short.")
    assert [part.text for part in shown] == ["Short."]
