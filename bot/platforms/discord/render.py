"""What a Part and a Reply look like on Discord. Pure: no request is made here."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

import discord

from bot.commands.base import File, Reply, Table
from bot.engine.display.citation_links import link
from bot.engine.markdown.blocks import State, advance
from bot.platforms.discord import code_block_tables, user_messages
from bot.platforms.discord.code_block_tables import FENCE
from bot.types.display import Action, Citation, Part

CONTENT_CHARS = 2000
"""Discord's limit of ``content``."""
EMBED_CHARS = 4096
QUOTE_CHARS = 240
TITLE_CHARS = 120
THREAD_NAME_CHARS = 80
FOOTER_CHARS = 2048
EMPTY = "…"
ACCENT = 0x5865F2
IN_A_ROW = 5
"""Discord's limit of buttons beside each other."""
_ONCE_MORE = frozenset(("again", "strong"))

_CODE = re.compile(r"(```.*?(?:```|\Z)|`[^`\n]+`)", re.DOTALL)
_URL = r"https?://(?:[^\s<>()]|\([^\s<>()]*\))+"
_LINK = re.compile(rf"(?P<calm><https?://[^\s>]+>)|(?P<masked>(?<=\]\(){_URL}(?=\)))|(?P<bare>{_URL})")
_DEEP_HEADING = re.compile(r"(?m)^#{4,6} +(.+?)\s*#*$")
_BUTTON = re.compile(r"parley:(stop|again|strong|up|down|why|sources|reason|share|about|halt):([^:]{1,80})")
_OF_NO_TURN = frozenset(("share", "about", "halt"))


@dataclass(frozen=True, slots=True)
class Button:
    """A button that still works after a restart: ``custom_id`` carries the action and the turn."""

    action: Action
    custom_id: str


@dataclass(frozen=True, slots=True)
class Shown:
    """One message as Discord takes it."""

    content: str
    embed: discord.Embed | None = None
    buttons: tuple[Button, ...] = ()
    files: tuple[File, ...] = ()


def part(shown: Part) -> Shown:
    """A part of an answer: text, sources in an embed, notes in small print, buttons."""
    embed = sources(shown.sources) if shown.sources else None
    content = markdown(shown.text) or EMPTY
    notes = [note for note in shown.notes if note]
    if notes and embed is not None:
        embed.set_footer(text=" · ".join(notes)[:FOOTER_CHARS])
    elif notes:
        content, embed = _with_notes(content, notes)
    buttons = tuple(Button(action, custom_id(action, shown.turn_id)) for action in shown.actions)
    return Shown(content=content, embed=embed, buttons=buttons)


def without_embed(shown: Shown) -> Shown:
    """The same where the bot lacks Embed Links: sources and notes follow the text, as many lines as fit."""
    if shown.embed is None:
        return shown
    small = [*(shown.embed.description or "").split("\n"), shown.embed.footer.text or ""]
    content = shown.content
    for line in (line for line in small if line):
        longer = f"{content}\n{line}" if line.startswith(">") else f"{content}\n-# {line}"
        if len(longer) > CONTENT_CHARS:
            break
        content = longer
    return replace(shown, content=content, embed=None)


def _with_notes(content: str, notes: list[str]) -> tuple[str, discord.Embed | None]:
    small = "\n".join(f"-# {note}" for note in notes)
    joined = f"{content}\n{small}"
    if len(joined) <= CONTENT_CHARS:
        return joined, None
    return content, discord.Embed(description="\n".join(notes)[:EMBED_CHARS], colour=ACCENT)


def markdown(text: str) -> str:
    """Markdown in Discord's dialect, within its limit, with no link that unfolds."""
    text = _outside_code(backticked(text.strip()), lambda piece: _DEEP_HEADING.sub(r"**\1**", piece))
    return calm_links(code_block_tables.as_code(text, CONTENT_CHARS), CONTENT_CHARS)


def backticked(text: str) -> str:
    """Fenced code as Discord knows it: between three backticks, whatever fence stood there. Never longer.

    A fence around three backticks stays as it is: they would end it.
    """
    lines, state, opened = text.split("\n"), State(), 0
    for number, line in enumerate(lines):
        kind, after = advance(state, line)
        if kind == "open":
            opened = number
        fence = state.fence
        if kind == "close" and fence is not None and FENCE not in "".join(lines[opened + 1 : number]):
            lines[opened] = lines[opened].replace(fence.marker, FENCE, 1)
            lines[number] = f"{line[: len(line) - len(line.lstrip('> '))]}{FENCE}"
        state = after
    return "\n".join(lines)


def calm_links(text: str, room: int = CONTENT_CHARS) -> str:
    """Every link in angle brackets, so that Discord fetches none; where two characters do not fit, as plain text."""
    spare = room - len(text)

    def calm(found: re.Match[str]) -> str:
        nonlocal spare
        if found["calm"]:
            return found[0]
        url = found[0]
        tail = "" if found["masked"] else url[len(url.rstrip(".,;:!?'\"*_|]")) :]
        url = url[: len(url) - len(tail)] if tail else url
        if spare >= 2:
            spare -= 2
            return f"<{url}>{tail}"
        return url.split("://", 1)[1] + tail

    return _outside_code(text, lambda piece: _LINK.sub(calm, piece))


def _outside_code(text: str, change: Callable[[str], str]) -> str:
    pieces = _CODE.split(text)
    return "".join(piece if index % 2 else change(piece) for index, piece in enumerate(pieces))


def sources(citations: tuple[Citation, ...]) -> discord.Embed:
    """The numbered sources with their quotes, as many as fit."""
    lines: list[str] = []
    used = 0
    for index, citation in enumerate(citations):
        entry = _source(citation)
        if used + len(entry) + 1 > EMBED_CHARS - 40:
            lines.append(user_messages.more(len(citations) - index))
            break
        lines.append(entry)
        used += len(entry) + 1
    return discord.Embed(title=user_messages.SOURCES, description="\n".join(lines), colour=ACCENT)


def _source(citation: Citation) -> str:
    title = _shorten(_plain(citation.title or citation.source), TITLE_CHARS)
    address = next((one for one in (link(citation), citation.source) if _is_link(one)), "")
    name = f"[{title}](<{address}>)" if address else title
    where = [_plain(heading) for heading in citation.heading[-1:] if heading and heading != citation.title]
    if citation.page is not None:
        where.append(f"p. {citation.page}")
    place = _shorten(", ".join(where), TITLE_CHARS)
    line = f"**[{citation.n}]** {name}" + (f" · {place}" if place else "")
    quote = _shorten(_plain(citation.quote), QUOTE_CHARS)
    return f"{line}\n> {quote}" if quote else line


def _is_link(source: str) -> bool:
    return source.startswith(("http://", "https://")) and len(source) <= 500 and not re.search(r"[\s<>]", source)


def _plain(text: str) -> str:
    return discord.utils.escape_markdown(" ".join(text.split()))


def _shorten(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    cut = text[: limit - 1]
    at = cut.rfind(" ", limit // 2)
    return (cut[:at] if at > 0 else cut).rstrip("\\ ,.;:") + "…"


# --- buttons


def custom_id(action: str, turn_id: str) -> str:
    """The id of a button; at most 100 characters with any turn id of 80."""
    return f"parley:{action}:{turn_id}"


def pressed(button: str) -> tuple[str, str] | None:
    """The action and the turn of a pressed button; None for a button of somebody else's."""
    found = _BUTTON.fullmatch(button)
    return (found[1], found[2]) if found else None


def view(buttons: tuple[Button, ...]) -> discord.ui.View | None:
    """The components of a message. Not kept by the library: presses are read from the gateway, also after a restart."""
    if not buttons:
        return None
    shown = discord.ui.View(timeout=None)
    for button in buttons:
        style = discord.ButtonStyle.danger if button.action == "stop" else discord.ButtonStyle.secondary
        row = int(len(buttons) > IN_A_ROW and button.action in _ONCE_MORE)
        label = user_messages.LABELS[button.action]
        shown.add_item(discord.ui.Button(label=label, custom_id=button.custom_id, style=style, row=row))
    shown.stop()
    return shown


def share_view() -> discord.ui.View:
    """The button under a private answer. The message itself is what will be shared, so that nothing is kept."""
    return _alone(discord.ui.Button(label=user_messages.SHARE, custom_id=custom_id("share", "this")))


def halt_view(stop: str) -> discord.ui.View | None:
    """The button under what is being read; pressed, it runs ``/ingest stop STOP``."""
    if not stop:
        return None
    style = discord.ButtonStyle.danger
    return _alone(discord.ui.Button(label=user_messages.HALT, custom_id=custom_id("halt", stop), style=style))


def _alone(button: discord.ui.Button[discord.ui.View]) -> discord.ui.View:
    shown = discord.ui.View(timeout=None)
    shown.add_item(button)
    shown.stop()
    return shown


def turns_of(message: discord.Message) -> set[str]:
    """The turns that the buttons under a message name."""
    rows = [row for row in message.components if isinstance(row, discord.ActionRow)]
    ids = [button.custom_id or "" for row in rows for button in row.children if isinstance(button, discord.Button)]
    return {found[1] for one in ids if (found := pressed(one)) is not None and found[0] not in _OF_NO_TURN}


# --- replies of commands


def reply(answer: Reply) -> Shown:
    """A command's reply: text, the table as a code block, what does not fit as a file."""
    files = [answer.file] if answer.file else []
    text = markdown_or_file(answer.text, files)
    if answer.table and answer.table.rows:
        text = _with_table(text, answer.table, files)
    return Shown(content=text or (EMPTY if not files else ""), files=tuple(files[:10]))


def markdown_or_file(text: str, files: list[File]) -> str:
    """The text as content; a longer one is cut at a paragraph and put whole into ``files``."""
    if len(text.strip()) <= CONTENT_CHARS:
        return markdown(text)
    files.append(File(name="reply.md", data=text.encode(), content_type="text/markdown"))
    room = CONTENT_CHARS - len(user_messages.FULL_TEXT) - 10
    head = text[:room]
    cut = max(head.rfind("\n\n"), head.rfind("\n"), room // 2)
    head = head[:cut].rstrip()
    if head.count("```") % 2:
        head += "\n```"
    return markdown(f"{head}\n{user_messages.FULL_TEXT}")


def _with_table(text: str, table: Table, files: list[File]) -> str:
    room = CONTENT_CHARS - len(text) - 2
    rows = list(table.rows)
    while rows and len(code_block_tables.block(table.columns, rows)) > room:
        rows = rows[: len(rows) * 3 // 4]
    if len(rows) < len(table.rows) and not any(file.name.endswith(".csv") for file in files):
        files.append(File(name="table.csv", data=table.csv(), content_type="text/csv"))
    if not rows:
        return text
    return f"{text}\n{code_block_tables.block(table.columns, rows)}".lstrip()


def thread_name(question: str) -> str:
    """The name of the thread for a question: its first words on one line, never empty."""
    flat = re.sub(r"[*_`~|>#]+", "", question)
    return _shorten(" ".join(flat.split()), THREAD_NAME_CHARS) or "Question"
