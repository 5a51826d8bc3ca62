"""Encodes and decodes BM25 postings as bytes. Does no I/O.

The high bits of a chunk's number are its segment, the low 16 bits its place in the segment. An entry of a term in a
segment has three little-endian u16: place, frequency of the term, length of the chunk in terms. Entries of one term are
merged by concatenating them. A mask has one bit for each place of a segment.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

SEGMENT_BITS = 16
SEGMENT = 1 << SEGMENT_BITS
U16_MAX = 65_535
EVERYBODY = ""
"""The audience of the mask of all live chunks."""

VERSION_LEVELS = 10
TOP_LEVEL = VERSION_LEVELS - 1
"""The level of a swept or full segment, above every level that merging reaches, counted from the version's first."""

Entries = npt.NDArray[np.uint16]
"""Shape ``(entries, 3)``: place, frequency, length."""

Bits = npt.NDArray[np.bool_]
"""One flag for every place of a segment."""


@dataclass(frozen=True, slots=True)
class IndexedChunk:
    """A chunk as BM25 indexes it."""

    chunk_id: int
    audience: str
    terms: Sequence[str]


def segment_of(chunk_id: int) -> int:
    return chunk_id >> SEGMENT_BITS


def place_of(chunk_id: int) -> int:
    return chunk_id & (SEGMENT - 1)


def base_level(version: int) -> int:
    """Return the lowest level of parts whose terms are of this version. Each version has VERSION_LEVELS levels."""
    return (version - 1) * VERSION_LEVELS


def version_of(level: int) -> int:
    """Return the version of the terms of a part of this level."""
    return level // VERSION_LEVELS + 1


def reindexed(version: int) -> str:
    """Return the audience of the mask of chunks whose entries of versions before this one no longer count."""
    return f" terms {version}"


def pack(chunks: Iterable[IndexedChunk]) -> dict[int, dict[str, bytes]]:
    """Return the entries by segment and term. Frequencies and lengths are limited to 65,535."""
    rows: dict[int, dict[str, list[tuple[int, int, int]]]] = defaultdict(lambda: defaultdict(list))
    for chunk in chunks:
        length = min(len(chunk.terms), U16_MAX)
        terms = rows[segment_of(chunk.chunk_id)]
        for term, frequency in Counter(chunk.terms).items():
            terms[term].append((place_of(chunk.chunk_id), min(frequency, U16_MAX), length))
    return {
        segment: {term: np.array(entries, dtype="<u2").tobytes() for term, entries in terms.items()}
        for segment, terms in rows.items()
    }


def unpack(entries: bytes) -> Entries:
    return np.frombuffer(entries, dtype="<u2").reshape(-1, 3)


def bits(mask: bytes) -> Bits:
    """Return the flags of a stored mask, which ends with its last byte that is not zero."""
    flags = np.zeros(SEGMENT, dtype=np.bool_)
    stored = np.unpackbits(np.frombuffer(mask, dtype=np.uint8), bitorder="little")
    flags[: len(stored)] = stored
    return flags


def mask(flags: Bits) -> bytes:
    """Return the bytes of the flags, without zero bytes at the end."""
    return np.packbits(flags, bitorder="little").tobytes().rstrip(b"\0")


def keep_alive(terms: Mapping[str, bytes], alive: Bits) -> dict[str, bytes]:
    """Return the entries without those of dead chunks. Terms that only occur in dead chunks are left out."""
    kept = {}
    for term, entries in terms.items():
        rows = unpack(entries)
        living = rows[alive[rows[:, 0]]]
        if len(living):
            kept[term] = living.tobytes()
    return kept
