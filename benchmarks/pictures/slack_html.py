"""Renders Slack blocks and modals as HTML that looks similar to Slack, after the examples in Slack's documentation."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Mapping, Sequence
from typing import Any

from markdown_it import MarkdownIt

from bot.commands.base import File

Block = Mapping[str, Any]

STYLE = """
body { margin: 0; background: #fff; font: 15px/1.47 Lato, "Noto Sans", "DejaVu Sans", sans-serif; color: #1d1c1d; }
.message { display: flex; gap: 10px; padding: 10px 20px; }
.face { width: 36px; height: 36px; border-radius: 8px; background: #4a154b; color: #fff; font-weight: 800; display:
  grid; place-items: center; flex: none; }
.person { background: #2e7d6b; }
.body { min-width: 0; flex: 1; }
.who { font-weight: 900; }
.app { background: #e8e8e8; color: #616061; font-size: 10px; padding: 1px 3px; border-radius: 2px; margin-left:
  4px; vertical-align: middle; }
.at { color: #616061; font-size: 12px; margin-left: 6px; }
p { margin: 0 0 8px; }
ul, ol { margin: 0 0 8px; padding-left: 26px; }
h1, h2, h3 { margin: 8px 0 4px; font-size: 18px; }
blockquote { margin: 2px 0 8px; border-left: 4px solid #ddd; padding-left: 12px; }
blockquote p { margin: 0; }
a { color: #1264a3; text-decoration: none; }
code { background: #f8f8f8; border: 1px solid #ddd; border-radius: 3px; padding: 1px 3px; color: #c01343;
  font-size: 12px; }
pre { background: #f8f8f8; border: 1px solid #ddd; border-radius: 4px; padding: 8px; margin: 4px 0 8px; }
pre code { border: 0; padding: 0; color: #1d1c1d; font-size: 12px; }
table { border-collapse: collapse; margin: 4px 0 8px; font-size: 14px; }
td, th { border: 1px solid #ddd; padding: 5px 9px; text-align: left; }
th, tr.head td { font-weight: 700; background: #f8f8f8; }
td.right { text-align: right; }
.context { color: #616061; font-size: 13px; margin: 4px 0; }
.context b { color: #1d1c1d; }
.actions { display: flex; flex-wrap: wrap; gap: 8px; margin: 8px 0 4px; }
.button { border: 1px solid #bbb; border-radius: 4px; padding: 4px 12px; font-weight: 700; font-size: 14px; }
.card { border: 1px solid #ddd; border-radius: 8px; padding: 7px 12px; margin: 2px 0 8px; display: inline-block; }
.dot { color: #1264a3; margin-right: 8px; }
.done { color: #007a5a; margin-right: 8px; }
.modal { width: 480px; margin: 20px auto; border: 1px solid #ccc; border-radius: 8px; box-shadow: 0 4px 20px #0002; }
.modal .title { font-weight: 900; font-size: 20px; padding: 16px 20px; border-bottom: 1px solid #eee; }
.modal .in { padding: 16px 20px; }
.modal .field { border: 1px solid #999; border-radius: 4px; height: 74px; margin-top: 6px; }
.modal .foot { padding: 12px 20px; text-align: right; border-top: 1px solid #eee; }
.primary { background: #007a5a; color: #fff; border-color: #007a5a; margin-left: 8px; }
"""

_THUMB = "M1 7h3v8H1zM5 7l3-6c1.6 0 2.2 1 1.8 2.5L9.3 6H14c1 0 1.5.8 1.2 1.7l-1.5 6c-.2.8-.7 1.3-1.5 1.3H5z"
_MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table")


def message(blocks: Sequence[Block], *, who: str = "Parley", person: bool = False, text: str = "") -> str:
    """Return the HTML of a message of the bot or of a person."""
    shown = "".join(_block(block) for block in blocks) or f"<p>{html.escape(text)}</p>"
    face, app = ("face person", "") if person else ("face", '<span class="app">APP</span>')
    head = f'<span class="who">{who}</span>{app}<span class="at">10:42</span>'
    return (
        f'<div class="message"><div class="{face}">{who[0]}</div><div class="body">{head}<div>{shown}</div></div></div>'
    )


def file(shared: File) -> str:
    """Return the HTML of an uploaded file: its name, and the picture if it is one."""
    return message([{"type": "file", "file": shared}])


def picture(shown: File, width: int) -> str:
    """Return an ``img`` element that contains the image data."""
    data = base64.b64encode(shown.data).decode()
    return f'<img width="{width}" src="data:{shown.content_type};base64,{data}">'


def modal(view: Block) -> str:
    """Return the HTML of a modal."""
    inside = "".join(_block(block) for block in view["blocks"])
    buttons = [f'<span class="button">{_plain(view["close"])}</span>'] if "close" in view else []
    buttons += [f'<span class="button primary">{_plain(view["submit"])}</span>'] if "submit" in view else []
    title = f'<div class="title">{_plain(view["title"])}</div>'
    return f'<div class="modal">{title}<div class="in">{inside}</div><div class="foot">{"".join(buttons)}</div></div>'


def _block(block: Block) -> str:
    match block["type"]:
        case "markdown":
            return str(_MARKDOWN.render(block["text"]))
        case "context":
            return "".join(f'<div class="context">{_mrkdwn(element)}</div>' for element in block["elements"])
        case "actions":
            return f'<div class="actions">{"".join(_button(element) for element in block["elements"])}</div>'
        case "table":
            return _table(block)
        case "task_card":
            mark = '<span class="done">✓</span>' if block["status"] == "complete" else '<span class="dot">◌</span>'
            return f'<div class="card">{mark}{html.escape(block["title"])}</div><br>'
        case "file":
            shared = block["file"]
            name = f'<div class="context">{html.escape(shared.name)}</div>'
            return name + (picture(shared, 480) if shared.content_type.startswith("image/") else "")
        case "input":
            return f'<b>{_plain(block["label"])}</b><div class="field"></div>'
        case kind:
            raise ValueError(f"cannot draw a {kind} block")


def _button(element: Block) -> str:
    return f'<span class="button">{thumbs(_plain(element["text"]))}</span>'


def thumbs(label: str) -> str:
    """Replace the thumb emoji in a label by drawings, because the machine may have no emoji font."""
    for emoji, angle in (("👍", 0), ("👎", 180)):
        hand = (
            f'<svg width="15" viewBox="0 0 16 16" transform="rotate({angle})"><path fill="#e8a317" d="{_THUMB}"/></svg>'
        )
        label = label.replace(emoji, hand)
    return label


def _table(block: Block) -> str:
    settings = block.get("column_settings") or []
    rows = []
    for number, row in enumerate(block["rows"]):
        cells = []
        for column, cell in enumerate(row):
            right = column < len(settings) and settings[column].get("align") == "right"
            cells.append(f'<td class="{"right" if right else ""}">{html.escape(cell["text"])}</td>')
        rows.append(f'<tr class="{"" if number else "head"}">{"".join(cells)}</tr>')
    return f"<table>{''.join(rows)}</table>"


def _mrkdwn(element: Block) -> str:
    if element["type"] == "plain_text":
        return html.escape(element["text"])
    text = re.sub(r"<([^|>]+)\|([^>]+)>", r'<a href="\1">\2</a>', element["text"])
    return re.sub(r"\*([^*\n]+)\*", r"<b>\1</b>", text).replace("\n", "<br>")


def _plain(text: Block) -> str:
    return html.escape(text["text"])
