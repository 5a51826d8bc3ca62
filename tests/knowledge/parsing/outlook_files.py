"""Writes Outlook messages (MSG) for tests: a compound file (MS-CFB) of properties (MS-OXMSG)."""

from __future__ import annotations

import struct
from collections.abc import Mapping

Tree = Mapping[str, "bytes | Tree"]
Values = list[tuple[int, int, str | bytes | int]]
"""The number, the kind and the value of properties."""

_SECTOR, _MINI, _END, _FREE, _FAT = 512, 64, 0xFFFFFFFE, 0xFFFFFFFF, 0xFFFFFFFD
_CUTOFF = 4096
_STRING, _STRING8, _BINARY, _INT, _TIME = 0x001F, 0x001E, 0x0102, 0x0003, 0x0040


def message(
    *,
    subject: str = "",
    body: str = "",
    html: bytes = b"",
    rtf: bytes = b"",
    sender: tuple[str, str] = ("", ""),
    to: tuple[str, str] = ("", ""),
    attachments: tuple[Tree, ...] = (),
    embedded: bool = False,
    code_page: int = 65001,
    charset: str = "",
) -> Tree:
    """Return the tree of a message that was sent on 3 March 2031 at 09:00 UTC.

    With a ``charset``, its texts are not Unicode but in this charset, whose number is ``code_page``.
    """
    values: Values = [
        (0x0037, _STRING, subject),
        (0x0C1A, _STRING, sender[0]),
        (0x0C1F, _STRING, sender[1]),
        (0x1000, _STRING, body),
        (0x1013, _BINARY, html),
        (0x1009, _BINARY, rtf),
        (0x3FDE, _INT, code_page),
        *([(0x3FFD, _INT, code_page)] if charset else []),
        (0x0039, _TIME, (11_644_473_600 + 1_930_294_800) * 10_000_000),
    ]
    tree = dict(_properties(values, 24 if embedded else 32, charset))
    recipient: Values = [(0x3001, _STRING, to[0]), (0x39FE, _STRING, to[1]), (0x0C15, _INT, 1)]
    tree["__recip_version1.0_#00000000"] = _properties(recipient, 8, charset)
    for number, attachment in enumerate(attachments):
        tree[f"__attach_version1.0_#{number:08X}"] = attachment
    return tree


def attachment(name: str, data: bytes, kind: str = "application/octet-stream", content_id: str = "") -> Tree:
    """Return the tree of an attached file."""
    values: Values = [
        (0x3707, _STRING, name),
        (0x370E, _STRING, kind),
        (0x3701, _BINARY, data),
        (0x3712, _STRING, content_id),
    ]
    return _properties(values, 8)


def attached_message(tree: Tree) -> Tree:
    """Return the tree of a message that is attached to another one."""
    return {**_properties([(0x3705, _INT, 5)], 8), "__substg1.0_3701000D": tree}


def _properties(values: Values, header: int, charset: str = "") -> Tree:
    tree: dict[str, bytes | Tree] = {}
    entries = bytes(header)
    for number, kind, value in values:
        if isinstance(value, int):
            entries += struct.pack("<HHI", kind, number, 6) + struct.pack("<q", value)
        elif value:
            if isinstance(value, str) and charset:
                value, kind = value.encode(charset), _STRING8
            data = value.encode("utf-16-le") if isinstance(value, str) else value
            entries += struct.pack("<HHIII", kind, number, 6, len(data), 0)
            tree[f"__substg1.0_{number:04X}{kind:04X}"] = data
    return {**tree, "__properties_version1.0": entries}


def compound_file(tree: Tree) -> bytes:
    """Return the bytes of a compound file of streams and storages."""
    entries: list[list[int | str | bytes]] = [["Root Entry", 5, _FREE, _FREE, b""]]
    _add(entries, 0, tree)
    sectors: list[bytes] = []
    fat: list[int] = []
    mini = b""
    mini_fat: list[int] = []
    places: list[tuple[int, int]] = [(0, 0)]
    for _, kind, _, _, data in entries[1:]:
        assert isinstance(data, bytes)
        if kind == 1 or not data:
            places.append((_END if kind == 2 else 0, 0))
        elif len(data) >= _CUTOFF:
            places.append((_chain(sectors, fat, data, _SECTOR), len(data)))
        else:
            start, count = len(mini_fat), -(-len(data) // _MINI)
            mini_fat += [*range(start + 1, start + count), _END]
            mini += data.ljust(count * _MINI, b"\0")
            places.append((start, len(data)))
    places[0] = (_chain(sectors, fat, mini, _SECTOR), len(mini)) if mini else (_END, 0)
    directory = b"".join(_entry(entry, place) for entry, place in zip(entries, places, strict=True))
    first_directory = _chain(sectors, fat, directory, _SECTOR)
    packed = struct.pack(f"<{len(mini_fat)}I", *mini_fat)
    first_mini_fat = _chain(sectors, fat, packed, _SECTOR, b"\xff") if mini_fat else _END
    count = 1
    while (len(fat) + count) * 4 > count * _SECTOR:
        count += 1
    fat_places = list(range(len(fat), len(fat) + count))
    fat += [_FAT] * count
    table = struct.pack(f"<{len(fat)}I", *fat).ljust(count * _SECTOR, b"\xff")
    header = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(16) + struct.pack("<HHHHH6x", 0x3E, 3, 0xFFFE, 9, 6)
    header += struct.pack("<IIIIIIIII", 0, count, first_directory, 0, _CUTOFF, first_mini_fat, 1, _END, 0)
    header += struct.pack(f"<{len(fat_places)}I", *fat_places)
    return header.ljust(_SECTOR, b"\xff") + b"".join(sectors) + table


def _add(entries: list[list[int | str | bytes]], parent: int, tree: Tree) -> None:
    """Add the entries of a tree. Each refers to the next one of its storage as its right neighbour."""
    before = -1
    for name, value in tree.items():
        number = len(entries)
        is_stream = isinstance(value, bytes)
        entries.append([name, 2 if is_stream else 1, _FREE, _FREE, value if isinstance(value, bytes) else b""])
        if before < 0:
            entries[parent][3] = number
        else:
            entries[before][2] = number
        before = number
        if not isinstance(value, bytes):
            _add(entries, number, value)


def _chain(sectors: list[bytes], fat: list[int], data: bytes, size: int, filler: bytes = b"\0") -> int:
    start = len(sectors)
    pieces = [data[at : at + size].ljust(size, filler) for at in range(0, len(data), size)]
    sectors += pieces
    fat += [*range(start + 1, start + len(pieces)), _END]
    return start


def _entry(entry: list[int | str | bytes], place: tuple[int, int]) -> bytes:
    name, kind, right, child, _ = entry
    assert isinstance(name, str)
    assert isinstance(kind, int)
    encoded = name.encode("utf-16-le") + b"\0\0"
    start, size = place
    head = encoded.ljust(64, b"\0") + struct.pack("<HBBIII", len(encoded), kind, 1, _FREE, right, child)
    return head + bytes(36) + struct.pack("<IQ", start, size)
