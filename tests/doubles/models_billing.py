"""How the double of the model providers counts and bills: its own tokenizer, prompt caches and prices.

Nothing here is shared with the code under test: the bill is a second opinion on the ledger.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

ProviderName = Literal["anthropic", "openai"]

_TOKEN = re.compile(r"\w{1,5}|[^\w\s]|\n+", re.UNICODE)

LOOKBACK = 20
"""Blocks before an Anthropic breakpoint in which a cached prefix is found."""
OPENAI_SMALLEST = 1024
OPENAI_STEP = 128
OPENAI_LIFE = 1800.0
SECONDS_OF = {"5m": 300.0, "1h": 3600.0}

# input, output, cache read, short write, long write; USD per million tokens, November 2026
PRICES: dict[str, tuple[str, str, str, str, str]] = {
    "claude-haiku-5-5": ("0.10", "0.50", "0.01", "0.125", "0.20"),
    "claude-sonnet-5-5": ("2", "10", "0.10", "2.5", "4"),
    "claude-opus-5-5": ("4", "20", "0.20", "5", "8"),
    "gpt-6-luna": ("0.10", "0.50", "0.01", "0.125", "0.25"),
    "gpt-6.1-terra": ("1", "5", "0.05", "1.25", "2.5"),
    "gpt-6.1-sol": ("2", "10", "0.10", "2.5", "5"),
    "text-embedding-3-small": ("0.02", "0", "0", "0", "0"),
    "text-embedding-3-large": ("0.13", "0", "0", "0", "0"),
}


def tokens(text: str) -> int:
    """Count the tokens of a text: pieces of words of up to five characters, signs, line breaks."""
    return len(_TOKEN.findall(text))


@dataclass(frozen=True, slots=True)
class Block:
    """One block of a prompt, in caching order. ``ttl`` is set if a breakpoint follows it."""

    text: str
    ttl: str | None = None
    overhead: int = 4

    @property
    def tokens(self) -> int:
        return tokens(self.text) + self.overhead


@dataclass(frozen=True, slots=True)
class Metered:
    """The prompt tokens of one request; the fields do not overlap."""

    plain: int = 0
    read: int = 0
    written: int = 0
    written_long: int = 0

    @property
    def total(self) -> int:
        return self.plain + self.read + self.written + self.written_long


@dataclass(frozen=True, slots=True)
class Billed:
    """One line of the bill. It is not ``complete`` if the client disconnected or the stream broke off."""

    provider: ProviderName
    model: str
    prompt: Metered
    output: int
    usd: Decimal | None
    complete: bool
    request: int


def dollars(provider: ProviderName, model: str, prompt: Metered, output: int) -> Decimal | None:
    """Return the listed price, including size tiers; None for a model that is not listed."""
    row = PRICES.get(model)
    if row is None:
        return None
    paid, made, read, write, long = map(Decimal, row)
    of_input = of_output = 1.0
    if model.startswith("claude-haiku-5") and prompt.total > 100_000:
        of_input = of_output = 5.0
    if provider == "openai" and prompt.total > 272_000:
        of_input, of_output = 2.0, 1.5
    amount = prompt.plain * paid + prompt.read * read + prompt.written * write + prompt.written_long * long
    return (amount * Decimal(of_input) + output * made * Decimal(of_output)) / 1_000_000


@dataclass(slots=True)
class AnthropicCache:
    """Cached prefixes by model, with their expiry. Reading a prefix extends it."""

    _ends: dict[str, tuple[float, float]] = field(default_factory=dict)

    def meter(self, model: str, blocks: Sequence[Block], now: float) -> Metered:
        """Read and write the cache for one request."""
        sums = _running(blocks)
        keys = _prefixes(model, [block.text for block in blocks])
        marks = [at for at, block in enumerate(blocks) if block.ttl]
        hit = self._longest_hit(keys, marks, now)
        read = sums[hit] if hit is not None else 0
        if hit is not None:
            life = self._ends[keys[hit]][1]
            self._ends[keys[hit]] = (now + life, life)
        smallest = 512 if "-5-5" in model else 1024
        last, last_long = read, read
        for at in marks:
            if sums[at] < smallest:
                continue
            life = SECONDS_OF[blocks[at].ttl or "5m"]
            self._ends[keys[at]] = (now + life, life)
            last = max(last, sums[at])
            if blocks[at].ttl == "1h":
                last_long = max(last_long, sums[at])
        return Metered(sums[-1] - last, read, last - last_long, last_long - read)

    def _longest_hit(self, keys: list[str], marks: list[int], now: float) -> int | None:
        for mark in reversed(marks):
            for at in range(mark, max(-1, mark - LOOKBACK), -1):
                if self._ends.get(keys[at], (0.0, 0.0))[0] > now:
                    return at
        return None


@dataclass(slots=True)
class OpenAICache:
    """Cache automatically: every prefix of 1,024 tokens or more, in steps of 128, per cache key."""

    _ends: dict[str, float] = field(default_factory=dict)

    def meter(self, model: str, key: str, blocks: Sequence[Block], now: float) -> Metered:
        pieces = [piece for block in blocks for piece in (*_TOKEN.findall(block.text), *["<|sep|>"] * block.overhead)]
        total = len(pieces)
        whole = total - total % OPENAI_STEP
        steps = range(OPENAI_SMALLEST, whole + 1, OPENAI_STEP) if whole >= OPENAI_SMALLEST else range(0)
        keys = {step: _digest(model, key, "\x00".join(pieces[:step])) for step in steps}
        read = max((step for step, name in keys.items() if self._ends.get(name, 0.0) > now), default=0)
        for name in keys.values():
            self._ends[name] = now + OPENAI_LIFE
        written = whole - read if keys else 0
        return Metered(total - read - written, read, written)


def _running(blocks: Sequence[Block]) -> list[int]:
    sums: list[int] = []
    for block in blocks:
        sums.append((sums[-1] if sums else 0) + block.tokens)
    return sums or [0]


def _prefixes(model: str, texts: Sequence[str]) -> list[str]:
    names: list[str] = []
    for text in texts:
        names.append(_digest(names[-1] if names else model, text))
    return names


def _digest(*parts: str) -> str:
    return hashlib.sha256("\x01".join(parts).encode()).hexdigest()
