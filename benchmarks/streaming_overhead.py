"""Measures Parley's own CPU time for each streamed piece of an answer, and how soon a stopped stream stops.

    python -m benchmarks.streaming_overhead [--pieces 2000]

The first part streams the same answer twice from the provider double, which runs in another process: once with the
provider's SDK alone, once through the whole engine with adapter, timeouts, retries and display. The difference in CPU
time, divided by the number of pieces, is Parley's own. The second part stops answers in the middle and counts the
pieces that the double still sent.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import time
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from multiprocessing.connection import Connection

from benchmarks.shared.double_adapters import ANTHROPIC_KEY, anthropic
from benchmarks.shared.harness import table
from bot.commands.ask import NullSurface
from bot.config import Settings
from bot.engine.engine import Engine
from bot.engine.ports.llm import Message, Prompt, TextDelta
from bot.llm.providers.anthropic import AnthropicLLM
from bot.llm.providers.provider_call import Timeouts
from bot.llm.resilient import ResilientLLM
from bot.types.usage import UNLIMITED
from tests.doubles.models import ModelDouble, Reply
from tests.engine.fakes import FakeStores, Library, passage, turn, words

SENTENCE = "Everybody has thirty days of leave in a year and may take five of them into the next [1]. "
PIECE = 12
"""Characters of one piece."""
STOPS_AFTER = (1, 5, 20, 60)


@dataclass(frozen=True, slots=True)
class Overhead:
    """CPU microseconds for one piece."""

    pieces: int
    sdk: float
    with_parley: float

    @property
    def own(self) -> float:
        return self.with_parley - self.sdk


def _serve(pieces: int, ready: Connection) -> None:
    """Run the double until the connection closes."""

    async def serve() -> None:
        async with ModelDouble() as double:
            double.script = lambda _: Reply(_text(pieces), piece=PIECE)
            ready.send(double.anthropic_url)
            await asyncio.to_thread(ready.poll, None)

    asyncio.run(serve())


def _text(pieces: int) -> str:
    return (SENTENCE * (pieces * PIECE // len(SENTENCE) + 1))[: pieces * PIECE]


def _prompt() -> Prompt:
    return Prompt("answer", "cheap", "Answer.", (Message("user", "How many days of leave?"),), 32_000)


async def _through_sdk(url: str) -> tuple[int, float]:
    from anthropic import AsyncAnthropic

    pieces = 0
    async with AsyncAnthropic(api_key=ANTHROPIC_KEY, base_url=url, max_retries=0) as client:
        start = time.process_time()
        async with await client.messages.create(
            model="claude-haiku-5-5",
            max_tokens=32_000,
            system="Answer.",
            messages=[{"role": "user", "content": "How many days of leave?"}],
            stream=True,
        ) as response:
            async for event in response:
                pieces += event.type == "content_block_delta"
        return pieces, time.process_time() - start


async def _through_parley(url: str) -> float:
    """Return the CPU seconds of ``Engine.handle`` with stores in memory, including search, prompt, citations and the
    last edit."""
    llm, adapter = _resilient(url)
    await adapter.ready()
    settings = Settings(_env_file=None, answer_tokens=32_000, daily_tokens=0)
    rule = passage("Everybody has thirty days of leave a year.")
    engine = Engine(
        stores=FakeStores(limit=UNLIMITED).stores,
        search=Library((rule,)),
        llm=llm,
        settings=settings,
        count_tokens=words,
    )
    start = time.process_time()
    outcome = await engine.handle(turn(), NullSurface())
    spent = time.process_time() - start
    await llm.aclose()
    assert outcome.state == "done", outcome.refused
    return spent


def _resilient(url: str) -> tuple[ResilientLLM, AnthropicLLM]:
    adapter = anthropic(url)
    return ResilientLLM({"cheap": [adapter], "strong": [adapter]}, Timeouts()), adapter


async def overhead(url: str, *, rounds: int = 3) -> Overhead:
    """Return the lowest of a few rounds of each; the rest is noise of the machine."""
    await _through_sdk(url), await _through_parley(url)
    alone = [await _through_sdk(url) for _ in range(rounds)]
    with_parley = [await _through_parley(url) for _ in range(rounds)]
    pieces = alone[0][0]
    return Overhead(pieces, 1e6 * min(spent for _, spent in alone) / pieces, 1e6 * min(with_parley) / pieces)


async def sent_after_stop(stops: Sequence[int] = STOPS_AFTER, *, pause: float = 0.02) -> list[int]:
    """Return the pieces that the double sent after each stop. ``pause`` is the seconds between two pieces."""
    async with ModelDouble() as double:
        double.script = lambda _: Reply(_text(400), piece=PIECE, pause=pause)
        llm, _ = _resilient(double.anthropic_url)
        late = [await _stopped(llm, double, stop) for stop in stops]
        await llm.aclose()
        return late


async def _stopped(llm: ResilientLLM, double: ModelDouble, stop: int) -> int:
    reached = asyncio.Event()

    async def read() -> None:
        pieces = 0
        async with aclosing(llm.stream(_prompt(), meter=lambda _: None)) as events:
            async for event in events:
                pieces += isinstance(event, TextDelta)
                if pieces == stop:
                    reached.set()

    task = asyncio.create_task(read())
    await reached.wait()
    seen = double.requests[-1]
    before = seen.pieces_sent
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await asyncio.wait_for(seen.closed.wait(), 10)
    return seen.pieces_sent - before


def main() -> None:
    """Run the benchmark and print the results."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--pieces", type=int, default=1000)
    given = options.parse_args()
    context = multiprocessing.get_context("spawn")
    for pieces in (given.pieces // 5, given.pieces):
        near, far = context.Pipe()
        server = context.Process(target=_serve, args=(pieces, far), daemon=True)
        server.start()
        seen = asyncio.run(overhead(near.recv()))
        near.send("done")
        server.join(10)
        rows = {
            "pieces": seen.pieces,
            "characters": seen.pieces * PIECE,
            "CPU µs per piece, SDK alone": seen.sdk,
            "CPU µs per piece, SDK and Parley": seen.with_parley,
            "CPU µs per piece, Parley alone": seen.own,
        }
        print(f"{table(rows)}\n")
    late = asyncio.run(sent_after_stop())
    print(table({f"pieces sent after a stop at piece {stop}": n for stop, n in zip(STOPS_AFTER, late, strict=True)}))


if __name__ == "__main__":
    main()
