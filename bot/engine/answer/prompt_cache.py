"""Chooses how long a provider should cache a thread's prefix, by the pauses between the thread's questions.

Does no I/O.

A token written to the cache costs more than a plain token, and a token read from it costs much less. So writing pays
only if a follow-up arrives before the entry expires: one read within five minutes, or two within the hour, break even.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import pairwise

from bot.engine.ports.llm import CacheLife
from bot.types.conversation import History

READ = 0.1
"""Price of a read token relative to a plain one, for the most expensive model in use."""
WRITE: Mapping[CacheLife, float] = {"5m": 1.25, "1h": 2.0}
SECONDS: Mapping[CacheLife, float] = {"5m": 300.0, "1h": 3600.0}

_USUAL: Mapping[CacheLife, float] = {"5m": 0.8, "1h": 0.95}
"""Assumed share of follow-ups that arrive in time, while the thread's pauses are unknown."""
_USUAL_WEIGHT = 1.0


def pauses(history: History, asked_at: datetime) -> tuple[float, ...]:
    """Return the seconds between the thread's questions, including the one just asked."""
    times = [message.at for message in history.messages if message.role == "user"] + [asked_at]
    return tuple(max(0.0, (later - before).total_seconds()) for before, later in pairwise(times))


def life(pauses: Sequence[float]) -> CacheLife | None:
    """Return the cache lifetime that makes the rest of the thread cheapest, or None if plain tokens are cheapest.

    ``pauses`` are the thread's pauses so far, in seconds. The thread is expected to continue for as many turns as it
    had, with the same pauses and as much text per turn. The unit of cost is one prefix at the price of plain tokens.
    """
    in_time = dict.fromkeys(SECONDS, 0)
    choice = _cheapest(0, in_time, 1.0)
    for number, pause in enumerate(pauses, 1):
        warm = choice is not None and pause <= SECONDS[choice]
        for known, seconds in SECONDS.items():
            in_time[known] += pause <= seconds
        choice = _cheapest(number, in_time, 1 / number if warm else 1.0)
    return choice


def _cheapest(pauses: int, in_time: Mapping[CacheLife, int], to_write: float) -> CacheLife | None:
    """Return the cheapest lifetime after ``pauses``, of which ``in_time`` were within each lifetime.

    ``to_write`` is the share of the prefix that is not cached: the last turn's addition, or all of it after too long a
    pause.
    """
    turns = pauses + 1
    costs: dict[CacheLife | None, float] = {None: to_write + turns + 1}
    for known, write in WRITE.items():
        likely = (in_time[known] + _USUAL_WEIGHT * _USUAL[known]) / (pauses + _USUAL_WEIGHT)
        costs[known] = write * to_write + turns * (likely * READ + (1 - likely) * write) + write
    return min(costs, key=lambda choice: costs[choice])
