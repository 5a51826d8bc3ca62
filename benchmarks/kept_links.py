"""Count the links of real documents that stay clickable in answers which repeat them.

    python -m benchmarks.kept_links CORPUS.jsonl

CORPUS.jsonl has a passage ``text`` in each line. For each address in a passage, an answer writes it in six forms. It
must stay a link on Slack and Discord, and on the web page where the form is a Markdown link. The passage itself, as an
answer, must keep its addresses too. Without the file, nothing is measured.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path

from bot.engine.display.output_filter import sanitize, urls_in
from bot.platforms.discord import render as discord
from bot.platforms.slack import render as slack
from bot.platforms.web import render as web
from bot.types.display import Part
from tests.doubles import clickable

FORMS = ("See {}.", "({})", "**{}**", "<{}>", "[the page]({}), or", "- [the page](<{}>)")
_URL = re.compile(r"https?://[^\s<>\"'`|\\)\]}]+[\w/]")


def main() -> int:
    """Print how many links were lost, with examples."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    corpus = parser.parse_args().corpus
    if not corpus.is_file():
        print(f"Skipped: there is no {corpus}.")
        return 0
    seen: set[str] = set()
    checked = 0
    lost: list[str] = []
    for line in corpus.read_text().splitlines():
        text = json.loads(line)["text"]
        for url in set(_URL.findall(text)) - seen:
            seen.add(url)
            for form in FORMS:
                checked += 1
                lost += losses(form.format(url), url, urls_in(text), form)
    for example in lost[:20]:
        print(example)
    print(f"{len(seen):,} addresses, {checked:,} answers, {len(lost):,} links lost")
    return bool(lost)


def losses(answer: str, url: str, links: frozenset[str], form: str) -> list[str]:
    """Return the platforms on which the answer does not link the address."""
    part = Part(answer, "n", "t", final=True, links=links)
    shown = {
        "Slack": clickable.on_slack(slack.message(part)["blocks"][0]["text"]),
        "Discord": clickable.on_discord(discord.part(part).content),
    }
    if "](" in form:
        shown["web"] = clickable.on_web("".join(web.blocks(answer, links=links)))
    missing = [name for name, found in shown.items() if clickable.other_links([url], frozenset(found))]
    return [f"{name}: {answer!r} became {sanitize(answer, links)!r}" for name in missing]


if __name__ == "__main__":
    sys.exit(main())
