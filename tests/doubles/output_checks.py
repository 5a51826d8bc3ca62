"""Checks one hostile text on all platforms: as an answer, as a reply, as a name, and while it streams."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator

from bot.commands.base import Reply, Table
from bot.engine.display.output_filter import sanitize
from bot.engine.display.split import rendered
from bot.engine.display.urls import urls_in
from bot.engine.markdown import displayable
from bot.platforms.discord import render as discord
from bot.platforms.slack import render as slack
from bot.platforms.web import render as web
from bot.types.display import Citation, Limits, Part
from tests.doubles import rendered_links
from tests.doubles.hostile_markdown import ALLOWED

LINKS = urls_in(*ALLOWED)
EXISTING = frozenset(ALLOWED)


def faults(text: str) -> list[str]:
    """Return everything that is wrong with how the text is shown; an empty list is good."""
    return [*filter_faults(text), *answer_faults(text), *reply_faults(text), *name_faults(text)]


def some_faults(text: str, chance: random.Random) -> list[str]:
    """Return what is wrong with the filtered text, and with one way of showing it that ``chance`` chooses."""
    ways = (answer_faults, reply_faults, name_faults, lambda text: stream_faults(text, [chance.randint(0, len(text))]))
    return [*filter_faults(text), *chance.choices(ways, (4, 1, 1, 2))[0](text)]


def filter_faults(text: str) -> Iterator[str]:
    """Yield faults of the filter alone: it is not idempotent, or a platform reads its output differently."""
    shown = sanitize(text, LINKS)
    if sanitize(shown, LINKS) != shown:
        yield f"filtering twice differs: {shown!r} / {sanitize(shown, LINKS)!r}"
    yield from _other("CommonMark, filter alone", rendered_links.in_markdown(shown))
    yield from _other("Slack, filter alone", rendered_links.on_slack(shown))
    if "~~~" not in shown:
        # The renderer for Discord replaces such fences, and encloses addresses, which Discord ends before a bracket.
        cut = frozenset(one.rstrip(")") for one in EXISTING)
        yield from _other("Discord, filter alone", rendered_links.on_discord(shown), EXISTING | cut)
    yield from _quiet("filter", shown)


def answer_faults(text: str, links: frozenset[str] = LINKS) -> Iterator[str]:
    """Yield faults of an answer's message; the text reaches the platforms without having been filtered."""
    part = Part(text, "n", "t" * 8, final=True, links=links)
    content = discord.part(part).content
    yield from _discord("answer", content)
    if content != discord.EMPTY and discord.markdown(content, links) != content:
        yield f"Discord: rendering twice differs: {content!r} / {discord.markdown(content, links)!r}"
    message = slack.message(part)
    block = message["blocks"][0]["text"]
    yield from _slack("answer", message)
    if slack.markdown(block, links)["text"] != block:
        yield f"Slack: rendering twice differs: {block!r} / {slack.markdown(block, links)['text']!r}"
    blocks = web.blocks(text, frozenset({1}), links=links)
    yield from _web("answer", blocks)
    if web.blocks(sanitize(text, links), frozenset({1}), links=links) != blocks:
        yield "web: the filtered text is rendered differently"


def reply_faults(text: str) -> Iterator[str]:
    """Yield faults of a command's reply that quotes the text, also in a table."""
    reply = Reply(f"**{text}**\n{text}", Table(("a", text), [(text, 1)]))
    yield from _discord("reply", discord.reply(reply).content)
    yield from _slack("reply", slack.reply(reply))
    yield from _other("Slack, plain reply", rendered_links.on_mrkdwn(slack.plain_reply(reply)["text"]), frozenset())
    yield from _quiet("Slack, plain reply", slack.plain_reply(reply)["text"].replace("\u2060", ""))
    yield from _web("reply", (*web.blocks(reply.text), web.table(reply.table or Table((), []))))


def name_faults(text: str) -> Iterator[str]:
    """Yield faults of a source, and of a note, whose title, heading and quote are the text."""
    source = Citation(1, "https://ok.example/page", text, text, heading=("h", text))
    part = Part("An answer [1].", "n", "t" * 8, final=True, sources=(source,), notes=(text,), links=LINKS)
    shown = discord.part(part)
    assert shown.embed is not None
    embed = shown.embed.description or ""
    yield from _discord("sources", embed, source=True)
    yield from _discord("sources without embed", discord.without_embed(shown).content, source=True)
    yield from _discord("notes", discord.part(Part("x", "n", "t", notes=(text,))).content)
    for block in slack.message(part)["blocks"][1:]:
        written = "".join(str(one.get("text", "")) for one in block.get("elements", []))
        yield from _other("Slack, sources", rendered_links.on_mrkdwn(_linked_only(written)), source=True)
        yield from _quiet("Slack, sources", written.replace("\u2060", ""))
    view = web.source(source)
    yield from _quiet("web, sources", "\n".join((view.title, view.quote, *view.heading)))


def stream_faults(text: str, splits: Iterable[int]) -> Iterator[str]:
    """Yield faults of the drafts that are shown while the text arrives, cut at each of ``splits``."""
    for limit in (120, 1850):
        limits = Limits(limit, 0.0, max_parts=5)
        for end in splits:
            for message in rendered(displayable(text[:end]), limits, LINKS).parts:
                for fault in (*filter_faults(message), *_web("draft", web.blocks(message, links=LINKS))):
                    yield f"after {end} characters: {fault}"
                yield from _discord("draft", discord.markdown(message, LINKS))


def _linked_only(text: str) -> str:
    """Return the links in angle brackets: the block is ``verbatim``, so Slack links no other address."""
    return " ".join(part.rpartition("<")[2].join("<>") for part in text.split(">") if "<" in part)


def _discord(where: str, content: str, *, source: bool = False) -> Iterator[str]:
    yield from _other(f"Discord, {where}", rendered_links.on_discord(content), source=source)
    yield from _quiet(f"Discord, {where}", content)
    if len(content) > (4096 if source else 2000):
        yield f"Discord, {where}: too long"


def _slack(where: str, message: dict[str, object]) -> Iterator[str]:
    blocks = message["blocks"]
    assert isinstance(blocks, list)
    for block in blocks:
        if block["type"] == "markdown":
            yield from _other(f"Slack, {where}", rendered_links.on_slack(block["text"]))
        yield from _quiet(f"Slack, {where}", "\n".join(_strings(block)))
    yield from _other(f"Slack, {where}, notification", rendered_links.on_mrkdwn(str(message["text"])))
    yield from _quiet(f"Slack, {where}, notification", str(message["text"]))


def _strings(value: object) -> Iterator[str]:
    """Yield every string in a block."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _strings(one)


def _web(where: str, blocks: tuple[str, ...]) -> Iterator[str]:
    page = "".join(blocks)
    yield from _other(f"web, {where}", rendered_links.on_web(page))
    if found := rendered_links.hidden(page):
        yield f"web, {where}: hidden characters {found}"


def _other(where: str, found: list[str], allowed: frozenset[str] = EXISTING, *, source: bool = False) -> Iterator[str]:
    if source:
        found = [link for link in found if not link.startswith("https://ok.example/page")]
    if other := rendered_links.other_links(found, allowed):
        yield f"{where}: links {other}"


def _quiet(where: str, text: str) -> Iterator[str]:
    if found := rendered_links.notified(text):
        yield f"{where}: mentions {found}"
    if found := rendered_links.hidden(text):
        yield f"{where}: hidden characters {found}"
