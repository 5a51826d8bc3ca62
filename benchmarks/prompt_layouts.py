"""Prompt layouts and cache breakpoints by the double's bill, without sending anything."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from bot.engine.ports.llm import CacheLife, Prompt
from tests.doubles import models_wire as wire
from tests.doubles.models import Billed, Seen
from tests.doubles.models_billing import AnthropicCache, Block, dollars

_CLOSE = re.compile(r"\n</passages \w+>\n\n")

Layout = Callable[[Prompt, list[Block]], list[Block]]


@dataclass(frozen=True, slots=True)
class Repeated:
    """Tokens of prefixes that had been sent before, and how many of them the provider read from its cache.

    What it did not read: prefixes that only another model had seen, and those that had expired or were never written.
    """

    tokens: int
    read: int
    other_model: int
    expired: int

    @property
    def share(self) -> float:
        return self.read / max(self.tokens, 1)

    def rows(self) -> dict[str, object]:
        return {
            "repeated prefix tokens": self.tokens,
            "  read from cache": f"{self.read:,} ({100 * self.share:.1f} %)",
            "  seen by the other model only": self.other_model,
            "  expired or not written": self.expired,
        }


def repeated(requests: Sequence[Seen], bill: Sequence[Billed]) -> Repeated:
    """Compare the longest prefix that any earlier request had with what was read."""
    anywhere: set[str] = set()
    by_model: set[str] = set()
    tokens = read = other = 0
    for line in bill:
        blocks = wire.anthropic_blocks(requests[line.request].body)
        names, sums = _prefixes(blocks)
        known = _longest(names, sums, anywhere)
        same = _longest([f"{line.model} {name}" for name in names], sums, by_model)
        tokens += known
        read += min(line.prompt.read, known)
        other += known - max(same, min(line.prompt.read, known))
        anywhere.update(names)
        by_model.update(f"{line.model} {name}" for name in names)
    return Repeated(tokens, read, other, tokens - read - other)


def compare(
    sent: Sequence[tuple[float, Prompt]], requests: Sequence[Seen], bill: Sequence[Billed]
) -> dict[str, Decimal]:
    """The bill of the same answers under other breakpoints and layouts; ``sent`` in the order of the bill."""
    ways: dict[str, Layout] = {
        "as shipped": _as_sent,
        "5 minutes always": _marked("5m", "5m"),
        "system 1 h, history 5 minutes": _marked("1h", "5m"),
        "1 h always": _marked("1h", "1h"),
        "system alone, 5 minutes": _marked("5m", None),
        "no breakpoint": _marked(None, None),
        "system 5 minutes, history by pace": _system("5m"),
        "system 1 h, history by pace": _system("1h"),
        "passages before the history, 5 minutes": _passages_first,
    }
    totals = {}
    for name, way in ways.items():
        cache, usd = AnthropicCache(), Decimal(0)
        for (at, prompt), line in zip(sent, bill, strict=True):
            if prompt.purpose == "answer":
                blocks = way(prompt, wire.anthropic_blocks(requests[line.request].body))
                usd += dollars("anthropic", line.model, cache.meter(line.model, blocks, at), line.output) or Decimal(0)
        totals[name] = usd
    return totals


def _as_sent(_: Prompt, blocks: list[Block]) -> list[Block]:
    return blocks


def _marked(system: CacheLife | None, history: CacheLife | None) -> Layout:
    """The shipped layout with these breakpoints: after the system, and after the last message of the history."""

    def way(_: Prompt, blocks: list[Block]) -> list[Block]:
        bare = [Block(block.text) for block in blocks]
        if len(bare) > 2:
            bare[-2] = Block(bare[-2].text, history)
        bare[0] = Block(bare[0].text, system)
        return bare

    return way


def _system(life: CacheLife) -> Layout:
    """The shipped breakpoints, with the system's life as given unless the history asks for an hour."""

    def way(_: Prompt, blocks: list[Block]) -> list[Block]:
        longer = any(block.ttl == "1h" for block in blocks[1:])
        return [Block(blocks[0].text, "1h" if longer else life), *blocks[1:]]

    return way


def _passages_first(prompt: Prompt, blocks: list[Block]) -> list[Block]:
    """System, passages, history, question: passages that change each turn stand before the history."""
    system, *history, last = blocks
    passages, question = (*_CLOSE.split(last.text, maxsplit=1), "")[:2]
    marked = [Block(block.text) for block in history]
    if marked:
        marked[-1] = Block(marked[-1].text, "5m")
    return [Block(system.text, "5m"), Block(passages), *marked, Block(question)]


def _prefixes(blocks: Sequence[Block]) -> tuple[list[str], list[int]]:
    names: list[str] = []
    sums: list[int] = []
    for block in blocks:
        before = names[-1] if names else ""
        names.append(hashlib.sha256(f"{before}\x01{block.text}".encode()).hexdigest())
        sums.append((sums[-1] if sums else 0) + block.tokens)
    return names, sums


def _longest(names: Sequence[str], sums: Sequence[int], known: set[str]) -> int:
    return max((total for name, total in zip(names, sums, strict=True) if name in known), default=0)
