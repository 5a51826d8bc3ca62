"""A limited number of turns run at once, admitted fairly."""

from __future__ import annotations

import asyncio
import random

import pytest

from bot.engine.dispatch import concurrency
from bot.engine.dispatch.concurrency import MAX_WHEN_LATE, STARTS_PER_PROBE, LoopDelay, TurnSlots, fairest, tenant_of
from bot.engine.dispatch.queue_poller import LONGEST_PAUSE, MIN_PAUSE, REST, QueuePoller
from bot.errors import StoreAway
from bot.evals.metrics import percentile
from bot.types.conversation import Author, ThreadKey
from bot.types.turns import Turn
from tests.engine.fakes import Screen, turn


def asks(number: str, tenant: str = "A", user: str = "ann") -> Turn:
    return turn(id=number, thread=ThreadKey(tenant, "slack", "C", number), author=Author(user, user))


def test_the_tenant_with_the_fewest_running_turns_is_next() -> None:
    running = [asks("1"), asks("2"), asks("3", "B")]
    assert fairest([asks("4"), asks("5", "B"), asks("6", "C")], running, {}).id == "6"


def test_among_equal_tenants_the_one_that_was_served_longest_ago() -> None:
    waiting = [asks("1"), asks("2", "B")]
    assert fairest(waiting, [], {"A": 2, "B": 1}).id == "2"
    assert fairest(waiting, [], {"A": 1, "B": 2}).id == "1"


def test_within_a_tenant_its_people_take_turns_and_each_in_order() -> None:
    waiting = [asks("1"), asks("2"), asks("3", user="bob")]
    assert fairest(waiting, [asks("0")], {}).id == "3"
    assert fairest(waiting, [], {}).id == "1"


async def test_one_place_goes_round() -> None:
    places = TurnSlots(1)
    came: list[str] = []
    busy = asks("0", "A")
    await places.take(busy)

    async def visit(one: Turn) -> None:
        await places.take(one)
        came.append(one.id)
        places.give(one)

    crowd = [asks(f"a{n}", "A") for n in range(3)] + [asks("b", "B"), asks("c", "C")]
    tasks = [asyncio.create_task(visit(one)) for one in crowd]
    await asyncio.sleep(0)
    assert places.ahead(crowd[3]) == 3
    assert (places.free, came) == (0, [])
    places.give(busy)
    await asyncio.gather(*tasks)
    assert came == ["b", "c", "a0", "a1", "a2"]
    assert places.free == 1


async def test_no_more_than_there_are_places() -> None:
    places, at_once, most = TurnSlots(3), 0, 0

    async def visit(one: Turn) -> None:
        nonlocal at_once, most
        await places.take(one)
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0)
        at_once -= 1
        places.give(one)

    await asyncio.gather(*(visit(asks(str(n), user=f"u{n % 5}")) for n in range(40)))
    assert most == 3


async def test_whoever_gives_up_waiting_leaves_nothing_behind() -> None:
    told: list[int] = []
    places = TurnSlots(1, changed=lambda: told.append(1))
    first, second, third = asks("1"), asks("2"), asks("3")
    await places.take(first)
    waiting = asyncio.create_task(places.take(second))
    last = asyncio.create_task(places.take(third))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    places.give(first)
    await asyncio.wait_for(last, 1)
    places.give(third)
    assert places.free == 1
    assert told == [1], "told when a place is free, not when it is taken at once"


async def test_a_place_that_came_with_the_cancellation_is_given_on() -> None:
    places = TurnSlots(1)
    first, second, third = asks("1"), asks("2"), asks("3")
    await places.take(first)
    waiting, last = asyncio.create_task(places.take(second)), asyncio.create_task(places.take(third))
    await asyncio.sleep(0)
    places.give(first)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await asyncio.wait_for(last, 1)


async def test_to_give_or_take_twice_is_once() -> None:
    places = TurnSlots(2)
    one = asks("1")
    await places.take(one)
    await places.take(one)
    assert places.free == 1
    places.give(one)
    places.give(one)
    assert places.free == 2


def test_a_loop_that_is_late_begins_few_turns_and_one_at_a_time() -> None:
    delay = LoopDelay()
    assert delay.admits(0, 64) == 64
    delay.measured(late=1.0)
    assert delay.admits(0, 64) == 1
    delay.started = 1
    assert delay.admits(1, 64) == 0
    delay.measured(late=0.0)
    assert delay.admits(1, 64) == 1
    assert delay.admits(MAX_WHEN_LATE, 64) == 0
    for _ in range(20):
        delay.measured(late=0.0)
    assert delay.admits(MAX_WHEN_LATE, 64) == 64 - MAX_WHEN_LATE


async def test_what_others_left_is_taken_up_a_few_at_a_time() -> None:
    told = asyncio.Event()
    places = TurnSlots(64, changed=told.set)
    assert places.free == STARTS_PER_PROBE
    for n in range(STARTS_PER_PROBE + 2):
        await asyncio.wait_for(places.take(asks(str(n))), 1)
    assert places.free == 0
    await asyncio.wait_for(told.wait(), 5)
    assert places.free > 0


@pytest.mark.parametrize(
    ("seconds", "pause"), [(0.001, MIN_PAUSE), (0.2, REST * 0.2), (2.0, LONGEST_PAUSE)], ids=["idle", "busy", "waiting"]
)
async def test_looking_for_turns_takes_a_fifth_of_the_time_and_no_look_waits_long(seconds: float, pause: float) -> None:
    moment, pauses, looks = 0.0, [], 0

    async def look(platform: str) -> int:
        nonlocal moment, looks
        moment, looks = moment + seconds, looks + 1
        return 0

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if looks < 3:
            rounds.soon("slack")
        await asyncio.sleep(0)

    async def nothing(platform: str) -> bool:
        return False

    rounds = QueuePoller(look, nothing, sleep=sleep, monotonic=lambda: moment)
    rounds.serve("slack", lambda turn: Screen())
    rounds.soon()
    while looks < 3:
        await asyncio.sleep(0)
    await rounds.close()
    assert pauses == pytest.approx([pause] * 3)


async def test_turns_that_no_notification_announced_are_looked_for_also_after_a_failure() -> None:
    found = asyncio.Event()
    answers: list[bool | Exception] = [StoreAway("gone"), RuntimeError("a bug"), False, True]

    async def poll(platform: str) -> int:
        found.set()
        return 1

    async def has_work(platform: str) -> bool:
        answer = answers.pop(0) if answers else False
        if isinstance(answer, Exception):
            raise answer
        return answer

    poller = QueuePoller(poll, has_work, look_seconds=0.001)
    poller.serve("slack", lambda turn: Screen())
    await asyncio.wait_for(found.wait(), 30)
    await poller.close()
    assert answers == []


async def quiet_waits(*, noisy: bool) -> list[int]:
    """Return how many ticks each question of four quiet tenants waits, beside a fifth that asks 50 times as much.

    A turn lasts ten ticks.
    """
    rng, places, waits = random.Random(3), TurnSlots(16), list[int]()
    running: dict[int, list[Turn]] = {}
    tasks: list[asyncio.Task[None]] = []
    now = 0

    async def visit(one: Turn) -> None:
        asked_at = now
        await places.take(one)
        running.setdefault(now + 10, []).append(one)
        if tenant_of(one) != "noisy":
            waits.append(now - asked_at)

    for now in range(800):
        for ended in running.pop(now, []):
            places.give(ended)
        for number, tenant in enumerate("ABCD"):
            if rng.random() < 0.02:
                tasks.append(asyncio.create_task(visit(asks(f"{tenant}{now}.{number}", tenant))))
        crowd = range(2 if noisy and now < 40 else int(noisy))
        tasks += [asyncio.create_task(visit(asks(f"n{now}.{number}", "noisy"))) for number in crowd]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return waits


async def test_a_tenant_that_asks_fifty_times_its_share_does_not_delay_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(concurrency, "LATE_SECONDS", 10.0**6)
    alone, beside = await quiet_waits(noisy=False), await quiet_waits(noisy=True)
    assert (percentile(alone, 0.95), percentile(beside, 0.95)) == (0, 0)
    assert max(beside) <= 10, "the longest wait is one answer"


async def test_a_tenant_that_is_alone_may_use_every_place() -> None:
    places = TurnSlots(16)
    for number in range(16):
        await asyncio.wait_for(places.take(asks(str(number))), 60)
