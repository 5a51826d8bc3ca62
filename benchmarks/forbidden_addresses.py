"""Tries to make every source connect to private addresses, and counts the connections that happen.

    python -m benchmarks.forbidden_addresses --forms 2000

Each form of ``benchmarks.forbidden_address_forms`` is tried in each way: as the address that a person gives, and as
what a server answers. Two things are counted: connections that a server on loopback accepts (the canary), and every
``connect`` of this process to any address but the test's own site (an audit hook sees them all, also those that fail).
``--undefended`` allows the canary's addresses, which shows how many forms are alive.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import shutil
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from benchmarks.forbidden_address_forms import PRIVATE_LOOPBACK_NAMES, PRIVATE_NAMES, forms
from knowledge.errors import SourceError
from knowledge.ports import Source
from knowledge.sources.checked_git_remote import checked_remote
from knowledge.sources.crawl import CrawlSource
from knowledge.sources.git_command import Git
from knowledge.sources.git_tunnel import GitTunnel
from knowledge.sources.refused_requests import refused_requests
from knowledge.sources.sitemap import SitemapSource
from knowledge.sources.source_factory import open_source
from knowledge.types.source_items import Failure, Fetched

SITE = "site.test"
"""The name under which the test's own server is allowed, with its subdomains."""
DEFENDED = (SITE, f"*.{SITE}")
UNDEFENDED = (*DEFENDED, "127.0.0.0/8", "0.0.0.0", "::/127", "localhost", "ip6-localhost", *PRIVATE_LOOPBACK_NAMES)
"""Allows the canary's addresses and no others, so that a run without the defense contacts no other computer."""
MAX_BYTES = 10_000_000
AT_ONCE = 8
SECONDS_PER_FORM = 20.0
SECONDS_PER_SITE = 900.0

Way = Callable[["Range", Sequence[str]], Awaitable[None]]

_ranges: list[Range] = []
_real_getaddrinfo = socket.getaddrinfo


@dataclass
class Range:
    """A site whose answers lead to private addresses, the canary, and what was counted."""

    allow: Sequence[str] = DEFENDED
    port: int = 0
    canary_port: int = 0
    proxy_port: int = 0
    targets: list[str] = field(default_factory=list)
    reached: int = 0
    dialed: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    documents: int = 0
    requests: int = 0

    @property
    def url(self) -> str:
        return f"http://{SITE}:{self.port}"

    async def canary(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reached += 1
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\nsecret")
        writer.close()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request. Written by hand, because no HTTP library sends such ``Location`` headers."""
        with suppress(OSError, EOFError, ValueError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            self.requests += 1
            host = next((line[6:] for line in head.split("\r\n") if line.lower().startswith("host: ")), "")
            status, location, body = self._answer(host, head.split(" ")[1])
            data = body.encode("utf-8", "surrogateescape")
            kind = "application/xml" if body.startswith("<?xml") else "text/html" if "<" in body else "text/plain"
            headers = f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {len(data)}\r\n"
            headers += "Connection: close\r\n" + (f"Location: {location}\r\n" if location else "")
            writer.write(headers.encode() + b"\r\n" + data)
            await writer.drain()
        writer.close()

    def _answer(self, host: str, path: str) -> tuple[int, str, str]:
        """Return the status, the redirect and the body for a path. Each path plays one trick."""
        name, _, rest = path.lstrip("/").partition("/")
        number = rest.partition("/")[0].partition(".")[0]
        label = host.partition(".")[0]
        if path == "/robots.txt":
            target = int(label[1:]) if label[:1] == "r" and label[1:].isdigit() else None
            return (404, "", "") if target is None else (302, self._target(target), "")
        if name in ("to", "git"):
            return 302, self._target(int(number)), ""
        if name == "base":
            return 200, "", f'<html><base href="{escape(self._target(int(number)))}"><a href="x">x</a>Words.</html>'
        if path == "/links/0":
            links = "".join(f'<a href="/to/{at}">x</a><a href="/base/{at}">x</a>' for at in range(len(self.targets)))
            return 200, "", f"<html>Words.{''.join(_link(target) for target in self.targets)}{links}</html>"
        if name == "pages":
            return 200, "", _sitemap("urlset", "url", [*self.targets, f"{self.url}/page"])
        if name == "moved":
            paths = [f"{self.url}/to/{at}" for at in range(int(number), min(int(number) + 100, len(self.targets)))]
            return 200, "", _sitemap("sitemapindex", "sitemap", paths)
        if name == "index":
            begin = int(number)
            return 200, "", _sitemap("sitemapindex", "sitemap", self.targets[begin : begin + 100])
        if name == "alternates":
            return self._dumb_repository(rest.partition("?")[0])
        return (200, "", "<html><p>An ordinary page.</p></html>") if name == "page" else (404, "", "")

    def _dumb_repository(self, path: str) -> tuple[int, str, str]:
        """Serve a repository that names other places for its objects: all forms at once."""
        if path == "info/refs":
            return 200, "", f"{'a' * 40}\trefs/heads/main\n"
        if path == "HEAD":
            return 200, "", "ref: refs/heads/main\n"
        if path in ("objects/info/http-alternates", "objects/info/alternates"):
            return 200, "", "".join(f"{target}/objects\n" for target in self.targets)
        return 404, "", ""

    def _target(self, number: int) -> str:
        if number >= len(self.targets):
            raise ValueError("no such form")
        return self.targets[number].replace("\n", "").replace("\r", "")

    def address_info(self, host: Any, *args: Any, **kwargs: Any) -> list[Any]:
        """Resolve the test's own names and those of strangers; numbers and local names go to the system."""
        name = host.decode() if isinstance(host, bytes) else host
        port = args[0] if args else kwargs.get("port", 0)
        known = str(name).lower().rstrip(".")
        if known == SITE or known.endswith(f".{SITE}"):
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]
        if known in PRIVATE_NAMES:
            address = PRIVATE_NAMES[known]
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            return [(family, socket.SOCK_STREAM, 6, "", (address, port))]
        if known and known not in ("localhost", "ip6-localhost") and ":" not in known and not _is_ipv4(known):
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        return _real_getaddrinfo(host, *args, **kwargs)


def _is_ipv4(text: str) -> bool:
    """Return whether the operating system reads the text as an IPv4 address."""
    try:
        socket.inet_aton(text)
    except (OSError, UnicodeError):
        return False
    return True


def _link(target: str) -> str:
    return f'<a href="{escape(target)}">x</a>'


def _sitemap(root: str, kind: str, urls: Sequence[str]) -> str:
    clean = ("".join(c for c in url if c >= " ") for url in urls)
    entries = "".join(f"<{kind}><loc>{escape(url)}</loc></{kind}>" for url in clean)
    return f'<?xml version="1.0"?><{root}>{entries}</{root}>'


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    """Count the connections that this process begins, but not those to the test's own site and to git's proxy."""
    if event != "socket.connect" or not _ranges:
        return
    address, own = arguments[1], (_ranges[-1].port, _ranges[-1].proxy_port)
    if isinstance(address, tuple) and not (address[0] == "127.0.0.1" and address[1] in own):
        _ranges[-1].dialed[str(address[0])] += 1


_hooked = False


@asynccontextmanager
async def shooting_range(count: int, *, allow: Sequence[str] = DEFENDED) -> AsyncIterator[Range]:
    """Start the site and the canary, and watch the connections of this process."""
    global _hooked
    if not _hooked:
        sys.addaudithook(_watch)
        _hooked = True
    made = Range(allow=allow)
    site = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = site.sockets[0].getsockname()[1]
    canary = await asyncio.start_server(made.canary, "0.0.0.0", 0)
    made.canary_port = canary.sockets[0].getsockname()[1]
    servers = [site, canary]
    with suppress(OSError):
        servers.append(await asyncio.start_server(made.canary, "::", made.canary_port, family=socket.AF_INET6))
    made.targets = [form.replace("{port}", str(made.canary_port)) for form in forms(count)]
    socket.getaddrinfo = made.address_info
    _ranges.append(made)
    try:
        yield made
    finally:
        _ranges.remove(made)
        socket.getaddrinfo = _real_getaddrinfo
        for server in servers:
            server.close()


async def no_pause(_: float) -> None:
    """Do not wait between two requests."""


async def attempt(range_: Range, open_one: Callable[[], Source], *, seconds: float = SECONDS_PER_SITE) -> None:
    """Read a source to its end and count what came of it."""
    try:
        async with asyncio.timeout(seconds):
            async for item in open_one().fetch():
                range_.documents += isinstance(item, Fetched)
                if isinstance(item, Failure):
                    range_.refused[_kind(item.error)] += 1
    except SourceError as error:
        range_.refused[_kind(str(error))] += 1
    except TimeoutError:
        range_.refused["took too long"] += 1


_KINDS = {
    "private address": "private address",
    "not a web address": "no web address",
    "http:// or https://": "no web address",
    "has no URL": "no web address",
    "terminal only": "no web address",
    "not the URL of a repository": "no repository",
    "with https://": "no repository",
    "has moved": "redirect",
    "name or password": "credentials",
    "another host": "other host",
    "cannot be reached": "no such name",
    "answered 404": "own site",
}
"""What a message says, and the name of that in the table."""


def _kind(error: str) -> str:
    for words, kind in _KINDS.items():
        if words in error:
            return kind
    return "other"


async def each(range_: Range, targets: Sequence[str], make: Callable[[int, str], Source], at_once: int) -> None:
    """Read one source for each target, a few at once."""
    room = asyncio.Semaphore(at_once)

    async def one(number: int, target: str) -> None:
        async with room:
            await attempt(range_, lambda: make(number, target), seconds=SECONDS_PER_FORM)

    await asyncio.gather(*(one(number, target) for number, target in enumerate(targets)))


async def given_page(range_: Range, targets: Sequence[str]) -> None:
    await each(range_, targets, lambda _, target: open_spec(range_, target), AT_ONCE)


async def redirect(range_: Range, targets: Sequence[str]) -> None:
    await each(range_, targets, lambda n, _: open_spec(range_, f"{range_.url}/to/{n}"), AT_ONCE)


async def given_crawl(range_: Range, targets: Sequence[str]) -> None:
    await each(range_, targets, lambda _, target: open_spec(range_, f"crawl:{target}"), AT_ONCE)


async def given_sitemap(range_: Range, targets: Sequence[str]) -> None:
    await each(range_, targets, lambda _, target: open_spec(range_, f"sitemap:{target}"), AT_ONCE)


async def robots(range_: Range, targets: Sequence[str]) -> None:
    await each(range_, targets, lambda n, _: open_spec(range_, f"crawl:http://r{n}.{SITE}:{range_.port}/page"), AT_ONCE)


async def crawl_links(range_: Range, targets: Sequence[str]) -> None:
    """Pages that link to the forms, that redirect to them and that take them as the base of their links."""
    del targets
    await attempt(range_, lambda: _crawl(range_, f"{range_.url}/links/0"))


async def sitemap_pages(range_: Range, targets: Sequence[str]) -> None:
    del targets
    await attempt(range_, lambda: _site(range_, f"{range_.url}/pages/0"))


async def sitemap_index(range_: Range, targets: Sequence[str]) -> None:
    """Index entries on other hosts, and entries of the own host that redirect to them."""
    for kind in ("index", "moved"):
        for begin in range(0, len(targets), 100):
            await attempt(range_, lambda kind=kind, begin=begin: _site(range_, f"{range_.url}/{kind}/{begin}"))  # type: ignore[misc]


async def given_git(range_: Range, targets: Sequence[str]) -> None:
    await each(range_, targets, lambda _, target: open_spec(range_, f"git:{target}"), AT_ONCE)


async def git_redirect(range_: Range, targets: Sequence[str]) -> None:
    await each(range_, targets, lambda n, _: open_spec(range_, f"git:{range_.url}/git/{n}/x.git"), 4)


async def git_alternates(range_: Range, targets: Sequence[str]) -> None:
    """A repository whose objects are said to be elsewhere, and a git that would follow: only its proxy holds it."""
    del targets
    remote = await checked_remote(f"{range_.url}/alternates", range_.allow)
    with tempfile.TemporaryDirectory() as folder:
        async with remote.tunnel() as tunnel:
            settings = (*remote.settings, "http.followRedirects=true")
            git = Git(Path(folder), protocols="https:http", settings=settings, proxy=tunnel.url)
            before = refused_requests["tunnel"]
            with suppress(SourceError):
                await git.run("clone", "--bare", "--", remote.url, f"{folder}/clone", seconds=SECONDS_PER_SITE)
            range_.refused["refused by the proxy"] += refused_requests["tunnel"] - before


async def git_tunnel(range_: Range, targets: Sequence[str]) -> None:
    """A git that was talked into connecting elsewhere: it asks its proxy for the host of each form."""
    addresses: Any = [{"host": "127.0.0.1"}]
    async with GitTunnel(SITE, range_.port, addresses, range_.allow) as tunnel:
        password, _, place = tunnel.url.removeprefix("socks5h://parley:").partition("@")
        range_.proxy_port = int(place.rpartition(":")[2])
        for target in targets:
            reader, writer = await asyncio.open_connection("127.0.0.1", range_.proxy_port)
            host = target.partition("://")[2].partition("/")[0].encode()[:200]
            port = range_.canary_port.to_bytes(2)
            secret = password.encode()
            writer.write(b"\x05\x01\x02" + b"\x01\x06parley" + bytes([len(secret)]) + secret)
            writer.write(b"\x05\x01\x00\x03" + bytes([len(host)]) + host + port)
            answer = await reader.read()
            range_.refused["refused by the proxy" if answer[5:6] == b"\x02" else "other"] += 1
            writer.close()


def open_spec(range_: Range, spec: str) -> Source:
    return open_source(spec, fetch_allow=range_.allow, max_bytes=MAX_BYTES, files=False, sleep=no_pause)


def _crawl(range_: Range, url: str) -> Source:
    pages = 3 * len(range_.targets) + 10
    return CrawlSource(url, fetch_allow=range_.allow, max_bytes=MAX_BYTES, max_pages=pages, sleep=no_pause)


def _site(range_: Range, url: str) -> Source:
    pages = len(range_.targets) + 10
    return SitemapSource(url, fetch_allow=range_.allow, max_bytes=MAX_BYTES, max_pages=pages, sleep=no_pause)


WAYS: dict[str, Way] = {
    "page": given_page,
    "redirect of a page": redirect,
    "redirect of robots.txt": robots,
    "crawl": given_crawl,
    "links, redirects, bases in a crawl": crawl_links,
    "sitemap": given_sitemap,
    "pages of a sitemap": sitemap_pages,
    "entries and redirects of an index": sitemap_index,
    "git": given_git,
    "redirect of a repository": git_redirect,
    "alternates of a repository, if git follows": git_alternates,
    "git asks its proxy": git_tunnel,
}
LEGITIMATE = ("/page", "crawl:/page", "sitemap:/pages/0")
"""What must still be read from the allowed site."""


async def shoot(count: int, ways: Sequence[str], *, allow: Sequence[str] = DEFENDED) -> list[Range]:
    """Try each way with each form. Return what was counted, one for each way."""
    results = []
    for way in ways:
        async with shooting_range(count, allow=allow) as made:
            await WAYS[way](made, made.targets)
            results.append(made)
    return results


async def read_legitimate() -> dict[str, int]:
    """Return how many documents the allowed site gives, by what is read."""
    found = {}
    for spec in LEGITIMATE:
        async with shooting_range(10) as made:
            kind, colon, path = spec.rpartition(":")
            await attempt(made, lambda: open_spec(made, f"{kind}{colon}{made.url}{path}"))  # noqa: B023
            found[spec] = made.documents
    return found


async def main() -> int:
    parser = argparse.ArgumentParser(description="Count connections to private addresses.")
    parser.add_argument("--forms", type=int, default=2000)
    parser.add_argument("--ways", nargs="*", choices=list(WAYS), default=list(WAYS))
    parser.add_argument("--undefended", action="store_true", help="allow the canary, to see which forms are alive")
    options = parser.parse_args()
    logging.getLogger("knowledge.sources.refused_requests").setLevel(logging.ERROR)
    if shutil.which("git") is None:
        print("Skipped: the ways through a repository, because git is not installed.")
        options.ways = [way for way in options.ways if "repository" not in way]
    allow = UNDEFENDED if options.undefended else DEFENDED
    print("| way | forms | reached the canary | other connections begun | refusals | seconds |")
    print("|---|---|---|---|---|---|")
    bad = 0
    for way in options.ways:
        begun = time.monotonic()
        (made,) = await shoot(options.forms, [way], allow=allow)
        bad += made.reached + made.dialed.total()
        refusals = ", ".join(f"{number} {kind}" for kind, number in made.refused.most_common())
        seconds = time.monotonic() - begun
        print(f"| {way} | {len(made.targets)} | {made.reached} | {made.dialed.total()} | {refusals} | {seconds:.0f} |")
    legitimate = await read_legitimate()
    print(f"\nRead from the allowed site: {legitimate}")
    return 0 if options.undefended or (bad == 0 and all(legitimate.values())) else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
