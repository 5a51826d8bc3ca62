"""Fakes: an embedder that hashes words into a small vector, so that texts with common words are near; and a source."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import AsyncIterator, Sequence

import numpy as np

from knowledge.ports import Encoded, EncodeKind
from knowledge.types.source_items import NOTHING_KNOWN, Fetched, Item, Known


class WordEmbedder:
    """Hashes words into vectors; records the passages that it encoded in ``passages``."""

    billed = False

    def __init__(self, model: str = "words", dimensions: int = 384) -> None:
        self.model = model
        self.dimensions = dimensions
        self.max_tokens = 254
        self.passages: list[str] = []

    def warm(self) -> None:
        return None

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [len(re.findall(r"\w+|[^\w\s]", text)) for text in texts]

    async def encode(self, texts: Sequence[str], kind: EncodeKind) -> Encoded:
        if kind == "passage":
            self.passages += texts
        vectors = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        for row, text in enumerate(texts):
            for word in re.findall(r"\w+", text.lower()):
                place = int.from_bytes(hashlib.sha256(word.encode()).digest()[:4], "big") % self.dimensions
                vectors[row, place] += 1
            vectors[row] /= np.linalg.norm(vectors[row]) or 1
        return Encoded(vectors, sum(self.count_tokens(texts)))

    async def aclose(self) -> None:
        return None


class ListSource:
    """Yields the given items; change ``items`` to change what the source has."""

    kind = "list"

    def __init__(self, uri: str, *items: Item) -> None:
        self.uri = uri
        self.items = list(items)

    def count(self) -> int | None:
        return len(self.items)

    async def fetch(self, known: Known = NOTHING_KNOWN) -> AsyncIterator[Item]:
        for item in self.items:
            yield item


class ChannelHistory(ListSource):
    """A channel of Slack."""

    kind = "slack"


def channel_month(*authors: str) -> Fetched:
    """Return a channel month with one message by each author."""
    entries = [{"user": name, "text": f"Words of {name}.", "ts": f"{n}.0"} for n, name in enumerate(authors, 1)]
    posts = [{"key": entry["ts"], "entry": entry, "replies": []} for entry in entries]
    data = json.dumps({"slack_channel": "general", "messages": entries}).encode()
    return Fetched("slack:C1/2026-07", data, content_type="application/json", memo=json.dumps(posts))


def markdown(uri: str, text: str) -> Fetched:
    return Fetched(uri, text.encode())
