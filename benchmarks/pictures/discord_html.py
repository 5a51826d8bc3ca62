"""Renders Discord messages, embeds and buttons as HTML that looks similar to Discord."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from typing import Any

from markdown_it import MarkdownIt

from benchmarks.pictures.slack_html import picture, thumbs
from bot.commands.base import File

STYLE = """
body { margin: 0; background: #313338; color: #dbdee1; font: 16px/1.375 "gg sans", "Noto Sans", "DejaVu Sans",
  sans-serif; }
.message { display: flex; gap: 14px; padding: 10px 16px; }
.face { width: 40px; height: 40px; border-radius: 50%; background: #5865f2; color: #fff; font-weight: 700; display:
  grid; place-items: center; flex: none; }
.body { min-width: 0; flex: 1; }
.person { background: #3ba55c; }
.who { color: #f2f3f5; font-weight: 600; }
.app { background: #5865f2; color: #fff; font-size: 10px; padding: 1px 4px; border-radius: 3px; margin-left: 5px;
  vertical-align: middle; }
.at { color: #949ba4; font-size: 12px; margin-left: 6px; }
p { margin: 0 0 6px; }
ul, ol { margin: 0 0 6px; padding-left: 24px; }
a { color: #00a8fc; text-decoration: none; }
small { color: #949ba4; font-size: 13px; display: block; }
code { background: #2b2d31; border-radius: 3px; padding: 1px 3px; font-size: 14px; }
pre { background: #2b2d31; border: 1px solid #1e1f22; border-radius: 4px; padding: 8px; margin: 4px 0; overflow:
  hidden; }
pre code { padding: 0; }
.embed { background: #2b2d31; border-left: 4px solid #5865f2; border-radius: 4px; padding: 10px 14px; max-width:
  516px; margin-top: 6px; font-size: 14px; }
.embed .title { font-weight: 600; color: #f2f3f5; font-size: 16px; margin-bottom: 6px; }
.embed .foot { color: #b5bac1; font-size: 12px; margin-top: 8px; }
blockquote { margin: 2px 0 8px; border-left: 4px solid #4e5058; padding-left: 10px; }
blockquote p { margin: 0; }
.row { display: flex; gap: 8px; margin-top: 8px; }
.button { background: #4e5058; color: #fff; border-radius: 3px; padding: 5px 14px; font-size: 14px; font-weight:
  500; }
.danger { background: #da373c; }
"""

DANGER = 4

_MARKDOWN = MarkdownIt("commonmark", {"html": False, "breaks": True})


def message(
    content: str,
    embeds: Sequence[Mapping[str, Any]] = (),
    components: Sequence[Mapping[str, Any]] = (),
    files: Sequence[File] = (),
    *,
    who: str = "Parley",
    person: bool = False,
) -> str:
    """Return the HTML of a message of the bot or of a person."""
    face, app = ("face person", "") if person else ("face", '<span class="app">APP</span>')
    author = f'<span class="who">{who}</span>{app}<span class="at">Today at 10:42</span>'
    below = "".join(picture(one, 480) for one in files if one.content_type.startswith("image/"))
    below += "".join(
        f"<small>{html.escape(one.name)}</small>" for one in files if not one.content_type.startswith("image/")
    )
    below += "".join(_embed(embed) for embed in embeds) + "".join(_row(row) for row in components)
    body = f'<div class="body">{author}<div>{_text(content)}</div>{below}</div>'
    return f'<div class="message"><div class="{face}">{who[0]}</div>{body}</div>'


def _text(text: str) -> str:
    # Discord shows a line that starts with "-# " as small text. Word joiners mark it for the Markdown renderer.
    shown = str(_MARKDOWN.render(re.sub(r"(?m)^-# (.+)$", "\u2060\\1\u2060", text)))
    return re.sub("\u2060([^\u2060]+)\u2060", r"<small>\1</small>", shown)


def _embed(embed: Mapping[str, Any]) -> str:
    lines = re.sub(r"(?m)^> (.+)$\n?", "> \\1\n\n", embed.get("description", ""))
    footer = f'<div class="foot">{html.escape(embed["footer"]["text"])}</div>' if embed.get("footer") else ""
    title = f'<div class="title">{html.escape(embed["title"])}</div>' if embed.get("title") else ""
    return f'<div class="embed">{title}{_text(lines)}{footer}</div>'


def _row(row: Mapping[str, Any]) -> str:
    buttons = [
        f'<span class="button {"danger" if button["style"] == DANGER else ""}">{thumbs(button["label"])}</span>'
        for button in row["components"]
    ]
    return f'<div class="row">{"".join(buttons)}</div>'
