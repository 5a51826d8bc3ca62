"""Renders answer parts and command replies as Discord messages: Markdown, embeds, buttons and files.

Makes no requests.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace

import discord

from bot.commands.base import File, Reply, Table
from bot.engine.display.character_filter import visible
from bot.engine.display.citation_links import link
from bot.engine.display.split import fitting
from bot.engine.display.urls import END_MARKS, trimmed
from bot.engine.markdown.blocks import State, advance
from bot.platforms.discord import code_block_tables, dialect, link_guard, text_limits, user_messages
from bot.platforms.discord.code_block_tables import FENCE
from bot.platforms.discord.text_limits import CONTENT, EMBED_DESCRIPTION, EMBED_FOOTER, EMBEDS, shorten, size
from bot.types.display import Action, Citation, Part

ROWS_NOTE_CHARS = 100
"""Room for the line that says how many rows of a table are left out."""
QUOTE_CHARS = 240
TITLE_CHARS = 120
THREAD_NAME_CHARS = 80
NONCE_CHARS = 25
EMPTY = "…"
ACCENT = 0x5865F2
BUTTONS_PER_ROW = 5
"""Discord's limit for buttons in one row."""
NO_MENTIONS = discord.AllowedMentions.none()
_SECOND_ROW = frozenset(("again", "strong"))
"""Actions whose buttons move to a second row if one row is too short."""

_URL = r"https?://(?:[^\s<>()]|\([^\s<>()]*\))+"
_BARE_URL = rf"https?://(?:[^\s(){END_MARKS}]|\([^\s(){END_MARKS}]*\))+"
_LINK = re.compile(rf"(?P<bracketed><https?://[^\s>]+>)|(?P<masked>(?<=\]\(){_URL}(?=\)))|(?P<bare>{_BARE_URL})")
_ESCAPED = re.compile(r"[\\*_~|`\[\]<]|:(?=//)|^[>#-]")
_ROUND = str.maketrans("[]", "()")
"""A title is the label of a link, where Discord does not reliably honor escaped square brackets."""
_SPACE = " \t\n"
"""White space of Markdown. Any other one is text, and without it the next word could begin a block."""
_BUTTON = re.compile(
    r"parley:(stop|again|strong|up|down|why|sources|reason|share|about|halt|accept|save|verify):([^:]{1,80})"
)
_WITHOUT_TURN = frozenset(("share", "about", "halt", "accept", "save", "verify"))


@dataclass(frozen=True, slots=True)
class Button:
    """A button that still works after a restart: ``custom_id`` holds the action and the turn."""

    action: Action
    custom_id: str


@dataclass(frozen=True, slots=True)
class Shown:
    """One message in the form that Discord accepts."""

    content: str
    embed: discord.Embed | None = None
    buttons: tuple[Button, ...] = ()
    files: tuple[File, ...] = ()


def part(shown: Part) -> Shown:
    """Render a part of an answer: text, sources in an embed, notes in small print, buttons."""
    embed = sources(shown.sources) if shown.sources else None
    content = markdown(shown.text, shown.links) or EMPTY
    notes = [visible(note) for note in shown.notes if note]
    if notes and embed is not None:
        room = min(EMBED_FOOTER, EMBEDS - size(f"{embed.title}{embed.description}"))
        embed.set_footer(text=text_limits.cut(" · ".join(notes), room))
    elif notes:
        content, embed = _with_notes(content, notes)
    buttons = tuple(Button(action, custom_id(action, shown.turn_id)) for action in shown.actions)
    rendered = Shown(content=content, embed=embed, buttons=buttons)
    return without_embed(rendered) if shown.plain else rendered


def without_embed(shown: Shown) -> Shown:
    """Return the message without its embed, for a bot that lacks Embed Links.

    Sources and notes follow the text, as many lines as fit.
    """
    if shown.embed is None:
        return shown
    small = [*(shown.embed.description or "").split("\n"), plain(shown.embed.footer.text or "")]
    content = shown.content
    for line in (line for line in small if line):
        longer = f"{content}\n{line}" if line.startswith(">") else f"{content}\n-# {line}"
        if size(longer) > CONTENT:
            break
        content = longer
    return replace(shown, content=content, embed=None)


def _with_notes(content: str, notes: list[str]) -> tuple[str, discord.Embed | None]:
    small = "\n".join(f"-# {plain(note)}" for note in notes)
    joined = f"{content}\n{small}"
    if size(joined) <= CONTENT:
        return joined, None
    return content, discord.Embed(
        description=text_limits.cut("\n".join(map(plain, notes)), EMBED_DESCRIPTION), colour=ACCENT
    )


def markdown(text: str, links: frozenset[str] = frozenset()) -> str:
    """Sanitize Markdown and convert it to Discord's dialect, within Discord's limit, and without link previews.

    Only addresses in ``links`` become links. A text beyond the limit is cut.
    """
    text, _ = fitting(stripped(text), CONTENT, links, size)
    # Tables come first: what the other steps see is what Discord shows.
    text = code_block_tables.convert_tables(normalize_fences(text.strip(_SPACE)), CONTENT)
    text = dialect.without_spoilers(dialect.to_discord(text, CONTENT), CONTENT)
    text = suppress_link_previews(text, CONTENT).strip(_SPACE)
    return link_guard.without_other_links(text, links)


def stripped(text: str) -> str:
    """Return the text without invisible characters and white space around it.

    In this order: white space behind an invisible character would make indented code of a text that is none.
    """
    return visible(text).strip(_SPACE)


def plain(text: str) -> str:
    """Return text that Discord shows as it is, on one line: without formatting, links and mentions.

    An escaped bracket still ends the label of a link that begins before it, so brackets are moved apart.
    """
    return _ESCAPED.sub(r"\\\g<0>", " ".join(visible(text).split()).replace("](", "] ("))


def normalize_fences(text: str) -> str:
    """Replace every code fence by three backticks, the only fence that Discord knows. The text never gets longer.

    A fence around code that contains three backticks stays, because they would end the code early.
    """
    lines, state, opened = text.split("\n"), State(), 0
    for number, line in enumerate(lines):
        kind, after = advance(state, line)
        if kind == "open":
            opened = number
        fence = state.fence
        if kind == "close" and fence is not None and FENCE not in "".join(lines[opened + 1 : number]):
            lines[opened] = lines[opened].replace(fence.marker, FENCE, 1)
            if "`" in fence.info:
                lead, _, info = lines[opened].partition(FENCE)
                lines[opened] = lead + FENCE + info.replace("`", "'")
            lines[number] = f"{line[: len(line) - len(line.lstrip('> '))]}{FENCE}"
        state = after
    return "\n".join(lines)


def suppress_link_previews(text: str, limit: int = CONTENT) -> str:
    """Put every link into angle brackets, so that Discord shows no preview.

    If the brackets do not fit into ``limit``, the link becomes plain text.
    """
    spare = limit - size(text)

    def bracketed(found: re.Match[str]) -> str:
        nonlocal spare
        if found["bracketed"]:
            return found[0]
        url = found[0] if found["masked"] else trimmed(found[0])
        tail = found[0][len(url) :]
        if spare >= 2:
            spare -= 2
            return f"<{url}>{tail}"
        return url.split("://", 1)[1] + tail

    return dialect.outside_code(text, lambda piece: _LINK.sub(bracketed, piece))


def sources(citations: tuple[Citation, ...]) -> discord.Embed:
    """Render the numbered sources with their quotes, as many as fit."""
    lines: list[str] = []
    used = 0
    for index, citation in enumerate(citations):
        entry = _source(citation)
        if used + size(entry) + 1 > EMBED_DESCRIPTION - 40:
            lines.append(user_messages.more_sources(len(citations) - index))
            break
        lines.append(entry)
        used += size(entry) + 1
    return discord.Embed(title=user_messages.SOURCES, description="\n".join(lines), colour=ACCENT)


def _source(citation: Citation) -> str:
    title = shorten(plain((citation.title or citation.source).translate(_ROUND)), TITLE_CHARS)
    url = next((one for one in (link(citation), citation.source) if _is_link(one)), "")
    name = f"[{title}](<{url}>)" if url else title
    location = [plain(heading) for heading in citation.heading[-1:] if heading and heading != citation.title]
    if citation.page is not None:
        location.append(f"p. {citation.shown_page}")
    shown_location = shorten(", ".join(location), TITLE_CHARS)
    line = f"**[{citation.n}]** {name}" + (f" · {shown_location}" if shown_location else "")
    quote = shorten(plain(citation.quote), QUOTE_CHARS)
    return f"{line}\n> {quote}" if quote else line


def _is_link(source: str) -> bool:
    return source.startswith(("http://", "https://")) and len(source) <= 500 and not re.search(r"[\s<>]", source)


# --- nonces


def short_nonce(name: str) -> str:
    """Return a nonce for ``name`` within Discord's 25 characters."""
    return name if size(name) <= NONCE_CHARS else hashlib.blake2s(name.encode(), digest_size=12).hexdigest()


# --- buttons


def custom_id(action: str, turn_id: str) -> str:
    """Return the ID of a button: at most 100 characters, Discord's limit, for turn IDs of up to 80."""
    return f"parley:{action}:{turn_id}"


def parse_custom_id(custom_id: str) -> tuple[str, str] | None:
    """Return the action and the turn ID in a button's ID; None for a button of another bot."""
    found = _BUTTON.fullmatch(custom_id)
    return (found[1], found[2]) if found else None


def view(buttons: tuple[Button, ...]) -> discord.ui.View | None:
    """Return the components of a message.

    The library does not track them: presses are read from the gateway, also after a restart.
    """
    if not buttons:
        return None
    shown = discord.ui.View(timeout=None)
    for button in buttons:
        style = discord.ButtonStyle.danger if button.action == "stop" else discord.ButtonStyle.secondary
        row = int(len(buttons) > BUTTONS_PER_ROW and button.action in _SECOND_ROW)
        label = user_messages.LABELS[button.action]
        shown.add_item(discord.ui.Button(label=label, custom_id=button.custom_id, style=style, row=row))
    shown.stop()
    return shown


def share_view(turn_id: str) -> discord.ui.View:
    """Return the share button below a private answer. It shares the message itself; its ID names the turn."""
    button = discord.ui.Button[discord.ui.View](
        label=user_messages.SHARE, custom_id=custom_id("share", turn_id or "this")
    )
    return buttons_view(button)


def stop_ingestion_view(stop: str) -> discord.ui.View | None:
    """Return the button below the progress of an ingestion; it runs ``/ingest stop STOP``. None without ``stop``."""
    if not stop:
        return None
    style = discord.ButtonStyle.danger
    button = discord.ui.Button[discord.ui.View](
        label=user_messages.STOP_INGESTION, custom_id=custom_id("halt", stop), style=style
    )
    return buttons_view(button)


def buttons_view(*buttons: discord.ui.Button[discord.ui.View]) -> discord.ui.View:
    """Return the components of a message with buttons."""
    shown = discord.ui.View(timeout=None)
    for button in buttons:
        shown.add_item(button)
    shown.stop()
    return shown


def turn_ids(message: discord.Message) -> set[str]:
    """Return the IDs of the turns that the buttons below a message belong to."""
    rows = [row for row in message.components if isinstance(row, discord.ActionRow)]
    ids = [button.custom_id or "" for row in rows for button in row.children if isinstance(button, discord.Button)]
    return {found[1] for one in ids if (found := parse_custom_id(one)) is not None and found[0] not in _WITHOUT_TURN}


# --- replies of commands


def reply(answer: Reply) -> Shown:
    """Render a command's reply: text, the table as a code block, and what does not fit as a file."""
    files = [answer.file] if answer.file else []
    has_table = bool(answer.table and answer.table.rows)
    text = markdown_or_file(answer.text, files, answer.links, CONTENT - (ROWS_NOTE_CHARS if has_table else 0))
    if answer.table and answer.table.rows:
        text = _with_table(text, answer.table, files)
    return Shown(content=text or (EMPTY if not files else ""), files=tuple(files[:10]))


def markdown_or_file(text: str, files: list[File], links: frozenset[str] = frozenset(), limit: int = CONTENT) -> str:
    """Return the text as content of ``limit`` characters.

    A text that is too long is cut between blocks and added in full to ``files``.
    """
    if fitting(stripped(text), limit, links, size)[1]:
        return markdown(text, links)
    files.append(File(name="reply.md", data=text.encode(), content_type="text/markdown"))
    head, _ = fitting(stripped(text), limit - size(user_messages.FULL_TEXT) - 10, links, size)
    return markdown(f"{head}\n{user_messages.FULL_TEXT}", links)


def _with_table(text: str, table: Table, files: list[File]) -> str:
    """Return the text with as many rows of the table as fit, and how many were left out. All of them are in a file."""
    whole = f"{text}\n{code_block_tables.block(table.columns, table.rows)}".lstrip()
    if size(whole) <= CONTENT:
        return whole
    if not any(file.name.endswith(".csv") for file in files):
        files.append(File(name="table.csv", data=table.csv(), content_type="text/csv"))
    name = next(file.name for file in files if file.name.endswith(".csv"))
    total, rows = len(table.rows), list(table.rows)
    while rows:
        rows = rows[: len(rows) * 3 // 4]
        shown = code_block_tables.block(table.columns, rows) if rows else ""
        note = user_messages.rows_left_out(total - len(rows), total, name)
        content = "\n".join(part for part in (text, shown, note) if part)
        if size(content) <= CONTENT:
            return content
    return text


def thread_name(question: str) -> str:
    """Return the name of the thread for a question: its first words on one line, never empty."""
    flat = re.sub(r"[*_`~|>#]+", "", question)
    return shorten(" ".join(flat.split()), THREAD_NAME_CHARS) or user_messages.DEFAULT_THREAD_NAME
