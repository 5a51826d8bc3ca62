"""Count the links of real documents that stay clickable in answers which repeat them.

    python -m benchmarks.kept_links [CORPUS.jsonl]

CORPUS.jsonl has a passage ``text`` in each line. For each address in a passage, an answer writes it in six forms. It
must stay a link on Slack and Discord, and on the web page where the form is a Markdown link. The passage itself, as an
answer, must keep its addresses too. Without an argument, nothing is measured. A file that cannot be used, or that holds
no address, is status 2.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.shared.unusable_input import unusable
from bot.engine.display.output_filter import sanitize
from bot.engine.display.urls import urls_in
from bot.errors import UsageError
from bot.evals import jsonl
from bot.platforms.discord import render as discord
from bot.platforms.slack import render as slack
from bot.platforms.web import render as web
from bot.types.display import Part
from tests.doubles import rendered_links

FORMS = ("See {}.", "({})", "**{}**", "<{}>", "[the page]({}), or", "- [the page](<{}>)")
_URL = re.compile(r"(?<![\w+])https?://[^\s<>\"'`|\\()\[\]{}]++")
_ENDS_AS_ADDRESS = re.compile(r"[\w/]\Z", re.ASCII)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print how many links were lost, with examples."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path, nargs="?")
    corpus = parser.parse_args(arguments).corpus
    if corpus is None:
        print("Skipped: no file was named.")
        return 0
    try:
        texts = jsonl.read(corpus, lambda row, where: jsonl.text(row, "text", where), of="passages")
    except UsageError as error:
        return unusable(str(error))
    seen: set[str] = set()
    checked = 0
    lost: list[str] = []
    for text in texts:
        for url in addresses(text) - seen:
            seen.add(url)
            for form in FORMS:
                checked += 1
                lost += losses(form.format(url), url, urls_in(text), form)
    if not seen:
        return unusable(f"{corpus} holds no address. Name a file whose texts have some.")
    for example in lost[:20]:
        print(example)
    print(f"{len(seen):,} addresses, {checked:,} answers, {len(lost):,} links lost")
    return bool(lost)


def addresses(text: str) -> set[str]:
    """Return the addresses in a text, without the punctuation after them.

    Those with brackets or other letters than ASCII are left out: they would be cut, or have several spellings.
    """
    found = set()
    for match in _URL.finditer(text):
        address = match.group().rstrip(".,;:!?*")
        goes_on = text[match.end() : match.end() + 1] in ("(", "[", "{")
        if not goes_on and address.isascii() and _ENDS_AS_ADDRESS.search(address):
            found.add(address)
    return found


def losses(answer: str, url: str, links: frozenset[str], form: str) -> list[str]:
    """Return the platforms on which the answer does not link the address."""
    part = Part(answer, "n", "t", final=True, links=links)
    shown = {
        "Slack": rendered_links.on_slack(slack.message(part)["blocks"][0]["text"]),
        "Discord": rendered_links.on_discord(discord.part(part).content),
    }
    if "](" in form:
        shown["web"] = rendered_links.on_web("".join(web.blocks(answer, links=links)))
    missing = [name for name, found in shown.items() if rendered_links.other_links([url], frozenset(found))]
    return [f"{name}: {answer!r} became {sanitize(answer, links)!r}" for name in missing]


if __name__ == "__main__":
    sys.exit(main())
