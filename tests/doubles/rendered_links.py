"""Reads what a person could click in a message, and whom it would notify, by rules that share no code with the bot.

The web page is read as HTML; Discord by the regular expressions of its client; Slack as CommonMark and by its own older
rules, because its ``markdown`` block documents neither. A link that one reader finds counts.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from functools import lru_cache
from html.parser import HTMLParser
from urllib.parse import unquote

from markdown_it import MarkdownIt
from markdown_it.token import Token

_BARE = re.compile(
    r"(?:https?://|(?<!\w)www\.(?=\w))[^\s<>|`]+"
    r"|(?<![\w@.-])(?:[\w-]+\.)+(?:com|org|net|io)(?![\w-])[^\s<>]*"
    r"|[\w.+-]+@[\w-]+(?:\.[\w-]+)+"
)
_TRAILING = ".,;:!?'\"*_~)]}`|”>#"
_MENTION = re.compile(
    r"<(?:@|#[A-Z0-9]|!(?:here|channel|everyone|group|subteam|date))[^>\s]*|@(?:everyone|here|channel)\b"
)
_INVISIBLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff]")


# --- the web page


class _Page(HTMLParser):
    """Collects what a page links, loads or runs."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("img", "script", "iframe", "object", "embed", "link", "style", "form", "base", "meta", "svg"):
            self.links.append(f"<{tag}>")
        for name, value in attrs:
            if name in ("href", "src", "action", "srcset", "style") or name.startswith("on"):
                self.links.append(str(value))
        if tag == "a" and dict(attrs).get("rel") != "noopener noreferrer nofollow":
            self.links.append("<a> without rel")


def on_web(page: str) -> list[str]:
    """Return the targets in HTML, and whatever else would load or run."""
    reader = _Page()
    reader.feed(page)
    reader.close()
    return reader.links


# --- CommonMark


def in_markdown(text: str, *, bare: bool = True) -> list[str]:
    """Return the targets that a CommonMark parser finds, and with ``bare`` the addresses in text outside code."""
    found: list[str] = []

    def walk(tokens: list[Token]) -> None:
        for token in tokens:
            target = token.attrs.get("href", token.attrs.get("src"))
            if target is not None:
                found.append(str(target))
            if token.type == "text" and bare:
                found.extend(_bare(token.content))
            walk(token.children or [])

    walk(_parsed(text))
    return found


@lru_cache(4)
def _parsed(text: str) -> list[Token]:
    return _parser().parse(text)


@lru_cache(1)
def _parser() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])


def _bare(text: str) -> list[str]:
    return [address for found in _BARE.finditer(text) if (address := _trimmed(found.group()))]


def _trimmed(address: str) -> str:
    """Return an address without punctuation at its end; a parenthesis stays if the address opens it."""
    while address and address[-1] in _TRAILING:
        if address[-1] == ")" and address.count("(") >= address.count(")"):
            break
        address = address[:-1]
    return address


# --- Slack


_SLACK_LINK = re.compile(r"\]\(\s*<?((?:[^\s<>()]|\([^\s<>()]*\))*)>?[^()]*\)")
_HAS_HOST = re.compile(r"[a-zA-Z][\w+.-]*:|//|[^\s/#?]*[.@]\w")
_SLACK_CODE = re.compile(r"```[\s\S]*?```|(`+)[^\n]*?[^`\n]\1(?!`)")


def on_slack(text: str) -> list[str]:
    """Return the links of a ``markdown`` block. A target without a host is none."""
    simple = re.sub(r"```[\s\S]*?```|`[^`\n]+`", " ", text)
    masked = _SLACK_LINK.findall(_SLACK_CODE.sub(" ", text))
    bare = (re.split(r"[\s<]", one)[0] for one in on_mrkdwn(_SLACK_LINK.sub("] ", simple), escaped=False))
    return [*in_markdown(text), *filter(_HAS_HOST.match, masked), *bare]


def on_mrkdwn(text: str, *, escaped: bool = True) -> list[str]:
    """Return the links of a ``mrkdwn`` text, where addresses outside angle brackets are links too."""
    angled = [found.partition("|")[0].strip() for found in re.findall(r"<((?:https?:|mailto:|www)[^>\n]*)>", text)]
    rest = re.sub(r"<[^>\n]*>", " ", text)
    bare = re.findall(r"https?://[^\s<>|`]+", html.unescape(rest) if escaped else rest)
    return [*angled, *map(_trimmed, bare)]


# --- Discord

_QUOTE = re.compile(r" *>>> ?([\s\S]*)| *> [^\n]*(?:\n *> [^\n]*)*\n?")
_CODE_BLOCK = re.compile(r"```(?:([a-z0-9_+\-.#]+?)\n)?\n*([^\n][\s\S]*?)\n*```", re.IGNORECASE)
_ESCAPE = re.compile(r"\\([^0-9A-Za-z\s])")
_AUTOLINK = re.compile(r"<([a-zA-Z][a-zA-Z0-9+.-]*:/[^ >]+)>")
_URL = re.compile(r"https?://[^\s<]+[^<.,:;\"'\]\s]", re.IGNORECASE)
_MASKED = re.compile(
    r"\[((?:\[[^\]]*\]|[^\[\]]|\](?=[^\[]*\]))*)\]\(\s*<?((?:\([^)]*\)|[^\s\\]|\\.)*?)>?(?:\s+['\"]([\s\S]*?)['\"])?\s*\)"
)
_CODE_SPAN = re.compile(r"(`+)([\s\S]*?[^`])\1(?!`)")


def on_discord(text: str, *, depth: int = 0) -> list[str]:
    """Return the links of a Discord message. Rules are tried in the order of the client, at every character."""
    found: list[str] = []
    place = 0
    while place < len(text):
        at_line_start = place == 0 or text[place - 1] == "\n"
        if depth < 3 and at_line_start and (match := _QUOTE.match(text, place)) and match.end() > place:
            inner = match.group(1) if match.group(1) is not None else re.sub(r"(?m)^ *> ", "", match.group())
            found += on_discord(inner, depth=depth + 1)
        elif match := _CODE_BLOCK.match(text, place) or _ESCAPE.match(text, place):
            pass
        elif match := _AUTOLINK.match(text, place):
            found.append(match.group(1))
        elif match := _URL.match(text, place):
            url = match.group()
            while url.endswith(")") and url.count(")") > url.count("("):
                url = url[:-1]
            found.append(url)
        elif match := _MASKED.match(text, place):
            if re.match(r"https?:|discord:", match.group(2), re.IGNORECASE):
                found.append(match.group(2))
        else:
            match = _CODE_SPAN.match(text, place)
        place = match.end() if match and match.end() > place else place + 1
    return found


# --- people


def notified(text: str) -> list[str]:
    """Return the mentions that a platform would turn into notifications or names."""
    return [found.group() for found in _MENTION.finditer(text)]


def hidden(text: str) -> list[str]:
    """Return the control, bidirectional and invisible characters."""
    return _INVISIBLE.findall(text)


# --- the allow-list


def other_links(found: list[str], allowed: frozenset[str]) -> list[str]:
    """Return the links that are not in ``allowed`` and lead somewhere.

    Scheme, case of the host and a last slash make no difference. A reader may end an allowed address at a mark of
    emphasis inside it.
    """
    existing = _existing(allowed)
    found = [link for link in found if not re.fullmatch(r"https?:/*", link, re.IGNORECASE)]
    return [link for link in found if not any(form in existing for form in _forms(link))]


@lru_cache(4)
def _existing(allowed: frozenset[str]) -> set[str]:
    whole = set(map(_plain, allowed))
    return whole | {one[:end] for one in whole for end in range(1, len(one)) if one[end] in "*_~"}


def _forms(link: str) -> Iterator[str]:
    yield _plain(link)
    yield _plain(unquote(link))
    while link and link[-1] in _TRAILING:
        link = link[:-1]
        yield _plain(link)


def _plain(link: str) -> str:
    link = html.unescape(link)
    link = re.sub(r"^(?:https?://|mailto:|//)", "", link, flags=re.IGNORECASE)
    host, slash, path = link.partition("/")
    return (host.lower() + slash + path).rstrip("/")
