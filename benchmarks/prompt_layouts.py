"""Computes the cost of other prompt layouts and cache breakpoints from a recorded bill, without sending anything."""

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

    The rest are prefixes that only the other model had seen, and prefixes that had expired or were never written.
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
    """Compare the longest prefix that any earlier request had with the prefix that was read from the cache."""
    any_model: set[str] = set()
    by_model: set[str] = set()
    tokens = read = other = 0
    for line in bill:
        blocks = wire.anthropic_blocks(requests[line.request].body)
        names, sums = _prefixes(blocks)
        repeated_tokens = _longest(names, sums, any_model)
        same_model = _longest([f"{line.model} {name}" for name in names], sums, by_model)
        tokens += repeated_tokens
        read += min(line.prompt.read, repeated_tokens)
        other += repeated_tokens - max(same_model, min(line.prompt.read, repeated_tokens))
        any_model.update(names)
        by_model.update(f"{line.model} {name}" for name in names)
    return Repeated(tokens, read, other, tokens - read - other)


def compare(
    sent: Sequence[tuple[float, Prompt]], requests: Sequence[Seen], bill: Sequence[Billed]
) -> dict[str, Decimal]:
    """Return the bill of the same answers with other breakpoints and layouts. ``sent`` is in the order of the bill."""
    layouts: dict[str, Layout] = {
        "as shipped": _as_sent,
        "5 minutes always": _with_breakpoints("5m", "5m"),
        "system 1 h, history 5 minutes": _with_breakpoints("1h", "5m"),
        "1 h always": _with_breakpoints("1h", "1h"),
        "system alone, 5 minutes": _with_breakpoints("5m", None),
        "no breakpoint": _with_breakpoints(None, None),
        "system 5 minutes, history by pace": _system_lifetime("5m"),
        "system 1 h, history by pace": _system_lifetime("1h"),
        "passages before the history, 5 minutes": _passages_first,
    }
    totals = {}
    for name, layout in layouts.items():
        cache, usd = AnthropicCache(), Decimal(0)
        for (at, prompt), line in zip(sent, bill, strict=True):
            if prompt.purpose == "answer":
                blocks = layout(prompt, wire.anthropic_blocks(requests[line.request].body))
                usd += dollars("anthropic", line.model, cache.meter(line.model, blocks, at), line.output) or Decimal(0)
        totals[name] = usd
    return totals


def _as_sent(_: Prompt, blocks: list[Block]) -> list[Block]:
    return blocks


def _with_breakpoints(system: CacheLife | None, history: CacheLife | None) -> Layout:
    """Return the shipped layout with breakpoints after the system prompt and after the last message of the history."""

    def layout(_: Prompt, blocks: list[Block]) -> list[Block]:
        unmarked = [Block(block.text) for block in blocks]
        if len(unmarked) > 2:
            unmarked[-2] = Block(unmarked[-2].text, history)
        unmarked[0] = Block(unmarked[0].text, system)
        return unmarked

    return layout


def _system_lifetime(life: CacheLife) -> Layout:
    """Return the shipped breakpoints with another lifetime for the system prompt, unless the history uses one hour."""

    def layout(_: Prompt, blocks: list[Block]) -> list[Block]:
        longer = any(block.ttl == "1h" for block in blocks[1:])
        return [Block(blocks[0].text, "1h" if longer else life), *blocks[1:]]

    return layout


def _passages_first(prompt: Prompt, blocks: list[Block]) -> list[Block]:
    """Put the passages, which change each turn, before the history: system, passages, history, question."""
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


def _longest(names: Sequence[str], sums: Sequence[int], known_prefixes: set[str]) -> int:
    return max((total for name, total in zip(names, sums, strict=True) if name in known_prefixes), default=0)
