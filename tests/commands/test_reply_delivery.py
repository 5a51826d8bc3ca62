"""The reply of a command is shown in the first place that takes it."""

from __future__ import annotations

import pytest

from bot.commands.reply_delivery import LONGEST_PAUSE, PAUSES, Place, show_in_first
from bot.errors import MessageGone, PlatformAway, RateLimited, SurfaceError


class Places:
    """Places that raise the given errors in turn; a place without an error left takes the reply."""

    def __init__(self, *errors: list[Exception]) -> None:
        self.errors = errors
        self.tried: list[int] = []
        self.waits: list[float] = []

    def places(self) -> list[Place]:
        def place(index: int) -> Place:
            async def show() -> None:
                self.tried.append(index)
                if self.errors[index]:
                    raise self.errors[index].pop(0)

            return show

        return [place(index) for index in range(len(self.errors))]

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)

    async def show(self) -> bool:
        return await show_in_first("budget", self.places(), sleep=self.sleep)


@pytest.mark.parametrize("error", [MessageGone("deleted"), SurfaceError("too large")])
async def test_a_refusal_leads_to_the_next_place(error: Exception) -> None:
    places = Places([error], [])
    assert await places.show()
    assert (places.tried, places.waits) == ([0, 1], [])


async def test_a_platform_that_is_away_is_tried_again_in_the_same_place() -> None:
    places = Places([PlatformAway("away"), RateLimited("wait", retry_after=20.0)], [])
    assert await places.show()
    assert (places.tried, places.waits) == ([0, 0, 0], [PAUSES[0], 20.0])


async def test_a_platform_that_stays_away_ends_the_tries() -> None:
    places = Places([RateLimited("wait", retry_after=1e6) for _ in range(9)], [])
    assert not await places.show()
    assert places.waits == [LONGEST_PAUSE] * len(PAUSES)


async def test_a_reply_that_no_place_takes_is_reported() -> None:
    assert not await Places([SurfaceError("no")], [SurfaceError("no")]).show()
