"""Mutates valid files: flips, cuts, repeats and splices bytes, also inside the members of archives."""

from __future__ import annotations

import io
import random
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import PurePosixPath

from benchmarks.hostile_files.valid import archive

Mutation = Callable[[random.Random, bytes, bytes], bytes]
"""Takes the dice, a file and another file."""

NUMBERS = (b"0", b"-1", b"2147483647", b"4294967296", b"99999999999999999999", b"1e309", b"NaN")
TOKENS = (
    b"\x00",
    b"\xff\xff\xff\xff",
    b"<!DOCTYPE x [",
    b"]]>",
    b"&a;",
    b"%s%n",
    b"../../",
    b"${x}",
    b"\r\n\r\n",
    b"endobj",
)


def _flip(dice: random.Random, data: bytes, _: bytes) -> bytes:
    made = bytearray(data)
    for place in dice.choices(range(len(made)), k=dice.choice((1, 4, 30, 300))):
        made[place] = dice.randrange(256)
    return bytes(made)


def _cut(dice: random.Random, data: bytes, _: bytes) -> bytes:
    return data[: dice.randrange(1, len(data))]


def _without_part(dice: random.Random, data: bytes, _: bytes) -> bytes:
    start = dice.randrange(len(data))
    return data[:start] + data[start + dice.randrange(1, 200) :]


def _repeat(dice: random.Random, data: bytes, _: bytes) -> bytes:
    start = dice.randrange(len(data))
    part = data[start : start + dice.randrange(1, 100)]
    return data[:start] + part * dice.choice((2, 100, 20_000)) + data[start:]


def _splice(dice: random.Random, data: bytes, other: bytes) -> bytes:
    return data[: dice.randrange(1, len(data))] + other[dice.randrange(len(other)) :]


def _insert(dice: random.Random, data: bytes, _: bytes) -> bytes:
    start = dice.randrange(len(data))
    return data[:start] + dice.choice((*TOKENS, *NUMBERS)) * dice.choice((1, 1000)) + data[start:]


def _append(dice: random.Random, data: bytes, other: bytes) -> bytes:
    return data + other


MUTATIONS: Mapping[str, Mutation] = {
    "flip": _flip,
    "cut": _cut,
    "gap": _without_part,
    "repeat": _repeat,
    "splice": _splice,
    "insert": _insert,
    "append": _append,
}


def mutated(seed: int, valid: Mapping[str, bytes]) -> tuple[str, bytes]:
    """Return the name and the bytes of the mutation that this seed makes."""
    dice = random.Random(seed)
    name, other = dice.choice(list(valid)), dice.choice(list(valid))
    kind = dice.choice(list(MUTATIONS))
    data = valid[name]
    if data[:2] == b"PK" and dice.random() < 0.6:
        data = _inside(dice, data, valid[other], MUTATIONS[kind])
    else:
        data = MUTATIONS[kind](dice, data, valid[other])
    suffix = PurePosixPath(other if dice.random() < 0.15 else name).suffix
    return f"{kind}-{seed}{suffix}", data


def _inside(dice: random.Random, data: bytes, other: bytes, mutate: Mutation) -> bytes:
    """Mutate a member of an archive, so that the archive itself stays valid."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as old:
            members = {member: old.read(member) for member in old.namelist()}
    except (zipfile.BadZipFile, zlib.error):
        return mutate(dice, data, other)
    filled = [member for member, content in members.items() if content]
    member = dice.choice(filled)
    return archive({**members, member: mutate(dice, members[member], other)})
