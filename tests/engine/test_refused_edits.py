"""A final text is not lost when the messages of its draft can no longer be edited: it is posted anew."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import pytest

from bot.errors import EditRefused, LayoutRefused, LeaseLost, PlatformAway
from bot.types.display import Limits, Part
from tests.engine.display_harness import EVERY, SOURCE, Channel, Harness, stream, turns

TEXT = "word " * 30


@dataclass
class Strict(Channel):
    """A surface that refuses edits of every message but ``editable`` once ``closed``, and layouts if ``plain``."""

    closed: bool = False
    editable: str = ""
    plain: bool = False
    response_lost: Callable[[], None] | None = None
    """Called after a post whose response is lost."""
    removed: list[str] = field(default_factory=list)

    async def edit(self, ref: str, part: Part) -> None:
        if self.closed and ref != self.editable:
            self.calls.append(("edit", self.clock.now, part))
            raise EditRefused("edit_window_closed")
        await super().edit(ref, part)

    async def post(self, part: Part) -> str:
        if self.plain and not part.plain:
            raise LayoutRefused("invalid_blocks")
        ref = await super().post(part)
        if self.response_lost is not None:
            self.response_lost()
            raise PlatformAway("Slack cannot be reached.")
        return ref

    async def delete(self, ref: str) -> None:
        self.removed.append(ref)
        await super().delete(ref)


class StrictHarness(Harness):
    channel: Strict


strict = partial(StrictHarness, channel=Strict)


async def test_an_answer_whose_draft_can_no_longer_be_edited_is_posted_anew() -> None:
    harness = strict()
    async with harness.display as display:
        await display.open("Searching…")
        (draft,) = harness.channel.messages
        harness.channel.closed = True
        await display.close("final", sources=[SOURCE], actions=["again"])
    ((ref, part),) = harness.channel.messages.items()
    assert ref != draft
    assert (part.text, part.sources, part.actions) == ("final", (SOURCE,), ("again",))
    assert harness.channel.removed == [draft], "the draft with its Stop button goes"
    assert harness.recorded[-1] == (0, ref)
    assert harness.replaced == [draft]


async def test_a_draft_that_can_no_longer_be_edited_is_not_posted_again_for_each_edit() -> None:
    harness = strict()
    async with harness.display as display:
        await display.open("Searching…")
        harness.channel.closed = True
        await stream(harness, TEXT, step=10)
        await turns()
        assert len(harness.channel.times("post")) == 1
        assert len(harness.channel.times("edit")) == 1
        await display.close(TEXT)
    assert harness.channel.texts == [TEXT.strip()]
    assert len(harness.channel.times("post")) == 2


async def test_the_messages_below_one_that_is_posted_anew_follow_it() -> None:
    harness = strict(Limits(100, EVERY), parts=("old0", "old1", "old2"))
    harness.channel.closed = True
    async with harness.display as display:
        await display.close(TEXT)
    assert not {"old0", "old1", "old2"} & set(harness.channel.messages)
    assert " ".join(harness.channel.texts).split() == TEXT.split()
    assert [part.nonce for part in harness.channel.messages.values()] == ["anew1:t1:0", "anew1:t1:1"]


async def test_the_message_that_a_process_posted_anew_before_it_died_is_found() -> None:
    harness = strict(parts=("old0",))
    harness.channel.closed, harness.channel.editable = True, "new"
    harness.channel.messages["new"] = Part("final", "anew1:t1:0", "t1", final=True)
    async with harness.display as display:
        await display.close("final")
    assert list(harness.channel.messages) == ["new"]
    assert harness.channel.times("post") == []
    assert harness.recorded[-1] == (0, "new")


async def test_a_message_that_is_posted_anew_is_offered_in_simpler_layouts() -> None:
    harness = strict(parts=("old0",))
    harness.channel.closed = harness.channel.plain = True
    async with harness.display as display:
        await display.close("**final**")
    ((_, part),) = harness.channel.messages.items()
    assert (part.text, part.plain) == ("**final**", True)


async def test_a_post_in_place_of_a_message_is_removed_with_it_although_its_response_was_lost() -> None:
    harness = strict(parts=("old0",))
    harness.channel.closed = True

    def lose() -> None:
        harness.lost = True

    harness.channel.response_lost = lose
    async with harness.display as display:
        with pytest.raises(LeaseLost):
            await display.close("final")
        assert len(harness.channel.messages) == 2
        assert await display.remove()
    assert harness.channel.messages == {}
