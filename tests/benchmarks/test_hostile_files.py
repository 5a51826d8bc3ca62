"""The benchmark of hostile files notices each kind of escape, and a sample of its files does not escape."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

from benchmarks.hostile_files import crafted, mutations, valid
from benchmarks.hostile_files.__main__ import Seen, parsed_text, world
from knowledge.parsing.isolation.sandbox import Parser
from knowledge.types.source_items import Fetched

SAMPLE = (
    "file-entity.docx",
    "url-entity.docx",
    "image-0.docx",
    "launch.pdf",
    "loads.html",
    "outside-0.zip",
    "object.txt",
)


def test_every_escape_is_noticed() -> None:
    with world() as canaries:
        targets = canaries.targets
        assert canaries.escapes("words") == []
        assert canaries.escapes(f"words {canaries.secret}") == ["the secret was read"]
        with socket.create_connection(("127.0.0.1", urlsplit(targets.url).port or 0)):
            assert canaries.escapes("") == ["a connection was made"]
        targets.created.touch()
        assert canaries.escapes("") == ["a file was created"]
        (targets.secret.parent / "other").touch()
        assert canaries.escapes("") == ["a folder was changed"]
        (targets.secret.parent / "other").unlink()
        targets.secret.write_text("changed")
        assert canaries.escapes("") == ["the secret file was changed"]
        targets.secret.write_text(canaries.secret)
        canaries.process.kill()
        canaries.process.wait()
        assert canaries.escapes("") == ["the process ended"]


async def test_no_file_of_a_sample_escapes() -> None:
    seen, parser = Seen(), Parser()
    try:
        with world() as canaries:
            made, seeds = crafted.files(canaries.targets), valid.files()
            files = [(name, made[name]) for name in SAMPLE] + [mutations.mutated(seed, seeds) for seed in range(12)]
            for name, data in [*files, *seeds.items()]:
                text = await parsed_text(parser, Fetched(name, data), seen)
                assert canaries.escapes(text) == [], name
    finally:
        await parser.aclose()
    assert seen.unclear == []
    assert seen.parsed >= len(seeds), "every valid file is read"
    assert mutations.mutated(7, seeds) == mutations.mutated(7, seeds)
