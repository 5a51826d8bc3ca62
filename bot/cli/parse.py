"""The ``parley parse`` command: prints what the parsers read of files, and stores nothing."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bot.cli import user_messages
from bot.cli.command_runtime import run, settings
from bot.cli.options import json_option
from bot.cli.output import echo, print_json
from bot.cli.parameter_types import FilePath

if TYPE_CHECKING:
    from bot.config import Settings


@click.command()
@click.argument("files", nargs=-1, required=True, type=FilePath(), metavar="FILE...")
@click.option("--include-hidden", is_flag=True, help="Also read what is hidden in Office files, such as hidden sheets.")
@json_option
def parse(files: tuple[Path, ...], include_hidden: bool, as_json: bool) -> None:
    """Print what Parley reads of files: title, text and what it leaves out. Nothing is stored.

    With --json, each file is one line. The lines of what is attached to a mail follow the mail's.
    """
    if not run(_parse_all(files, settings(), include_hidden, as_json)):
        sys.exit(1)


async def _parse_all(files: Sequence[Path], loaded: Settings, include_hidden: bool, as_json: bool) -> bool:
    """Print each file when it is parsed. Return whether all of them could be read."""
    from knowledge.parsing.isolation.sandbox import Parser

    parser, complete = Parser(max_unpacked=loaded.max_unpacked_mb * 2**20), True
    try:
        for path in files:
            for parsed in await _parsed(parser, path, loaded.max_file_mb * 1_000_000, include_hidden):
                complete = complete and "error" not in parsed
                _print(parsed, as_json)
    finally:
        await parser.aclose()
    return complete


def _print(parsed: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(parsed, indent=None)
    elif "error" in parsed:
        echo(user_messages.unreadable(parsed["file"], parsed["error"]), err=True)
    else:
        echo(user_messages.parsed(parsed["file"], parsed["title"], parsed["format"], parsed["warnings"]))
        echo(f"\n{parsed['text']}\n")


async def _parsed(parser: Any, path: Path, max_bytes: int, include_hidden: bool) -> list[dict[str, Any]]:
    """Return the file, and what is attached to it, as JSON documents of the command line.

    It is ``{"file", "error"}`` if it cannot be read.
    """
    from bot.commands.document_preview import as_json_document
    from knowledge.errors import ParseError
    from knowledge.parsing.mail_attachments import parse_all
    from knowledge.sources.files import read_file
    from knowledge.text.storable_text import storable
    from knowledge.types.source_items import Failure

    shown = storable(str(path))
    read = await asyncio.to_thread(read_file, path, storable(path.name), max_bytes)
    if isinstance(read, Failure):
        return [{"file": shown, "error": read.error}]
    try:
        documents = await parse_all(partial(parser.parse, include_hidden=include_hidden), read)
    except ParseError as error:
        return [{"file": shown, "error": f"{error}."}]
    folder = shown.removesuffix(read.uri)
    return [{"file": f"{folder}{document.uri}", **as_json_document(document)} for document in documents]


COMMANDS = (parse,)
