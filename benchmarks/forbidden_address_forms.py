"""URLs that lead to private addresses, in every notation: hosts x encodings x tricks with the rest of the URL.

Deterministic. ``{port}`` in a form is the port of the server that must not be reached.
"""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Iterator

SEED = 20261130
DECOY = "decoy.example"
"""A harmless name that a form pretends to lead to. It does not resolve, so nothing may be contacted for it."""

PRIVATE_NAMES = {
    "7f000001.nip.io": "127.0.0.1",
    "127-0-0-1.sslip.io": "127.0.0.1",
    "localtest.me": "127.0.0.1",
    "metadata.google.internal": "169.254.169.254",
    "intranet.example": "10.0.0.8",
    "six.example": "::1",
    "mapped.example": "::ffff:127.0.0.1",
    "site-local.example": "fec0::1",
    "siit.example": "::ffff:0:7f00:1",
    "10.1.evil.example": "127.0.0.1",
}
"""Names of other people's DNS servers, and the private address that each returns."""

PRIVATE_LOOPBACK_NAMES = tuple(name for name, address in PRIVATE_NAMES.items() if address in ("127.0.0.1", "::1"))

IPV4 = """
127.0.0.1 127.0.0.2 127.255.255.254 0.0.0.0 0.0.0.1 169.254.169.254 10.0.0.1 172.16.0.1 192.168.0.1 100.64.0.1
100.100.100.200 168.63.129.16 192.0.0.192 192.88.99.1 198.18.0.1 224.0.0.1 240.0.0.1 255.255.255.255""".split()
IPV6 = """::1 :: ::2 fe80::1 fec0::1 feff::1 fc00::1 fd00:ec2::254 fd20:ce::254 ff02::1 100::1 5f00::1 3fff::1
2001:db8::1 2001:2::1 2001:10::1 2001:20::1 64:ff9b:1::1 64:ff9b:1::7f00:1 4000::1 e000::1""".split()

_TRICKS = (
    "http://{host}:{port}/x",
    "HTTP://{host}:{port}/x",
    "https://{host}:{port}/x",
    "http://{host}:0{port}/x",
    "http://user:secret@{host}:{port}/x",
    f"http://{DECOY}@{{host}}:{{port}}/x",
    f"http://{DECOY}:80@{{host}}:{{port}}/x",
    f"http://{DECOY}:80#@{{host}}:{{port}}/x",
    f"http://{DECOY}\\@{{host}}:{{port}}/x",
    f"http://{{host}}:{{port}}\\@{DECOY}/x",
    f"http://{{host}}:{{port}}#@{DECOY}/x",
    f"http://{{host}}:{{port}}?@{DECOY}/x",
    f"http://{{host}}:{{port}};@{DECOY}/x",
    f"http://{{host}}%00.{DECOY}:{{port}}/x",
    f"http://{{host}}%23.{DECOY}:{{port}}/x",
    "http://@{host}:{port}/x",
    "http:///{host}:{port}/x",
    "http:/{host}:{port}/x",
    "http:{host}:{port}/x",
    "http:\\\\{host}:{port}\\x",
    "http://\t{host}:{port}/x",
    "http://{host}\t:{port}/x",
    "http:/\n/{host}:{port}/x",
    "http://{host} :{port}/x",
    "http://{host}:{port}/../../x",
    "http://{host}:{port}",
    "http://{host}:{port}?x",
    "http://{host}:{port}/x.git",
    "http://{host}:{port}/sitemap.xml",
    "http://{host}:{port}/%2e%2e/x",
    "//{host}:{port}/x",
    "/\\{host}:{port}/x",
    "///{host}:{port}/x",
    "ftp://{host}:{port}/x",
    "ext::http://{host}:{port}/x",
    "ssh://{host}:{port}/x",
)


def forms(count: int) -> list[str]:
    """Return ``count`` different forms: three of five are plain URLs, the others play tricks with the rest of it."""
    order = random.Random(SEED)
    hosts = list(dict.fromkeys(_hosts()))
    plain = [_TRICKS[0].replace("{host}", host) for host in hosts]
    tricky = [trick.replace("{host}", host) for trick in _TRICKS[1:] for host in hosts]
    order.shuffle(plain)
    order.shuffle(tricky)
    first = plain[: count * 3 // 5]
    return list(dict.fromkeys([*first, *tricky[: count - len(first)]]))


def _hosts() -> Iterator[str]:
    for text in IPV4:
        yield from _ipv4(ipaddress.IPv4Address(text))
    for text in IPV6:
        yield from _ipv6(ipaddress.IPv6Address(text))
    yield from PRIVATE_NAMES
    for name in ("localhost", "localhost.localdomain", "ip6-localhost"):
        yield from (name, name.upper(), f"{name}.", f"{name}..", _mapped(name, 0x24D0, "a"), _mapped(name, 0xFF41, "a"))


def _ipv4(address: ipaddress.IPv4Address) -> Iterator[str]:
    dotted, number = str(address), int(address)
    parts = [int(part) for part in dotted.split(".")]
    a, b, c, d = parts
    yield from (dotted, f"{dotted}.", f"{dotted}..", str(number), f"{number}.", hex(number), f"0X{number:08X}")
    yield from (f"0{number:o}", f"0x{number:016x}", str(number + 2**32), f"0x1{number:08x}")
    yield from (".".join(f"0x{part:02x}" for part in parts), ".".join(f"0{part:03o}" for part in parts))
    yield from (f"0{a:o}.{b}.{c}.{d}", f"0x{a:x}.{b}.0{c:o}.{d}", f"{a}.{b}.{c * 256 + d}")
    yield from (f"{a}.{number & 0xFFFFFF}", f"0x{a:x}.{number & 0xFFFFFF}", f"{a}.0x{number & 0xFFFFFF:x}")
    yield from (f"{a + 256}.{b}.{c}.{d}", f"{a}.{b}.{c}.{d + 256}")
    for zero in (0xFF10, 0x1D7CE, 0x1D7D8, 0x1D7E2, 0x1D7EC, 0x1D7F6, 0x1FBF0, 0x0660, 0x06F0):
        yield _mapped(dotted, zero, "0")
        yield _mapped(str(number), zero, "0")
    yield from (dotted.translate(_CIRCLED), str(number).translate(_CIRCLED), dotted.translate(_SUPERSCRIPT))
    for stop in "。．｡":
        yield dotted.replace(".", stop)
        yield _mapped(dotted, 0xFF10, "0").replace(".", stop)
        yield dotted.translate(_CIRCLED).replace(".", stop)
        yield hex(number) + stop
    yield "".join(f"%{ord(letter):02x}" for letter in dotted)
    yield "".join(f"%25{ord(letter):02x}" for letter in dotted)
    yield "".join(f"%{byte:02X}" for byte in _mapped(dotted, 0xFF10, "0").encode())
    for hidden in ("\u00ad", "\u200b", "\u200d", "\u2060", "\ufe0f", "\u034f"):
        yield dotted[:1] + hidden + dotted[1:]
    high, low = number >> 16, number & 0xFFFF
    flipped = number ^ 0xFFFFFFFF
    for text in (
        f"::ffff:{dotted}",
        f"::FFFF:{high:X}:{low:X}",
        f"0:0:0:0:0:ffff:{dotted}",
        f"0000:0000:0000:0000:0000:ffff:{high:04x}:{low:04x}",
        f"::{dotted}",
        f"::{high:x}:{low:x}",
        f"::ffff:0:{dotted}",
        f"64:ff9b::{dotted}",
        f"64:ff9b:1::{dotted}",
        f"64:ff9b:1:7f00:0:100::{high:x}",
        f"2002:{high:x}:{low:x}::",
        f"2002:{high:x}:{low:x}::1",
        f"2001:0:0:0:0:0:{flipped >> 16:x}:{flipped & 0xFFFF:x}",
        f"2001:0:{high:x}:{low:x}::",
        f"fe80::5efe:{dotted}",
        f"fe80::200:5efe:{dotted}",
        f"2a00:1450:4001:800:0:5efe:{high:x}:{low:x}",
        f"2a00:1450:4001:800:200:5efe:{high:x}:{low:x}",
        f"::ffff:{dotted}%25lo",
        f"::ffff:{dotted}%lo",
    ):
        yield f"[{text}]"


def _ipv6(address: ipaddress.IPv6Address) -> Iterator[str]:
    yield from (f"[{address}]", f"[{address.exploded}]", f"[{address.exploded.upper()}]", f"[{address}].", str(address))
    yield from (f"[{address}%25lo]", f"[{address}%lo]", f"[{address}%251]", f"[{address}%25eth0]")
    yield f"[{_mapped(str(address), 0xFF10, '0')}]"
    yield f"%5B{address}%5D"


def _mapped(text: str, first: int, base: str) -> str:
    """Return the text with its digits or letters from another block of Unicode that begins at ``first``."""
    span = 10 if base == "0" else 26
    return "".join(chr(first + ord(c) - ord(base)) if 0 <= ord(c) - ord(base) < span else c for c in text)


_CIRCLED = str.maketrans("0123456789", "⓪①②③④⑤⑥⑦⑧⑨")
_SUPERSCRIPT = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
