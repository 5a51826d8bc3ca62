"""Builds hostile texts from pieces: forms of links, images, HTML, mentions, code, tables and invisible characters."""

from __future__ import annotations

import random

ALLOWED: tuple[str, ...] = (
    "https://ok.example/page",
    "https://ok.example/book_(2)",
    "https://ok.example/path?a=1&b=2",
    "ann@ok.example",
    "ok.com/x",
)
"""The addresses in the question and the passages."""

EVIL: tuple[str, ...] = (
    "https://evil.example/?q=SECRET",
    "http://evil.example",
    "HTTPS://EVIL.EXAMPLE/a",
    "7https://1.2.3.4/?q=SECRET",
    "https://1.2.3.4/?q=SECRET",
    "xhttps://evil.example/a",
    "https://evil.example/(a)",
    "https://ok.example@evil.example/",
    "https://ok.example/page.evil.example",
    "https://ok.example/page/more",
    "https://ok.example.evil.example/page",
    "www.evil.com",
    "evil.com/x",
    "evil.com",
    "//evil.example/p",
    "bob@evil.com",
    "mailto:bob@evil.com",
    "javascript:alert(1)",
    "data:text/html,x",
    "https&colon;//evil.example",
    "https&#58;//evil.example",
    "https\\://evil.example",
    "https:\\//evil.example",
    "https:/\\/evil.example",
    "h\u200bttps://evil.example",
    "https://evil\u2024example/x",
    "https://xn--80ak6aa92e.com",
    "slack://evil",
    "discord://evil",
    "[2001:db8::1]/x",
    "http://[::1]/x",
    "/api/threads",
    "#x",
)

FORMS: tuple[str, ...] = (
    "[x]({})",
    "[x](<{}>)",
    '[x]({} "t")',
    "[x]( {} )",
    "[x](\n{}\n)",
    "![x]({})",
    "[![x]({})]({})",
    "[x\ny]({})",
    "[a]: {}\n\n[a]",
    "[a]:\n{}\n\n[a]",
    "[a]: <{}> 't'\n\n[x][a]",
    "[a]: {}\n[a]: {}\n\n[a][]",
    "> [a]: {}\n\n[a]",
    "<{}>",
    "<{}|click>",
    "<a href='{}'>x</a>",
    "<img src={}>",
    "<!date^1^{{date}}^{}|x>",
    "{}",
    "{}.",
    "({})",
    "**{}**",
    "_{}_",
    "~~{}~~",
    "||{}||",
    "`{}`",
    "``{}``",
    "`` {} `",
    "```\n{}\n```",
    "```{}\n```",
    "```[x]({})|b\n-|-\n",
    "~~~[x]({})|b\n-|-\n",
    "| [x]({}) | b |\n|---|---|\n",
    "a | `{}\n-|-\n` | b\n",
    "`|[x]({})`|\n-|-\n",
    "| \\`{} | `b |\n|-|-|\n",
    "~~~\n{}\n~~~",
    "````\n```\n{}\n````",
    "> ```\n> {}\n> ```",
    "> `a\n{}`",
    "- ```\n  {}\n  ```",
    "- ```\n{}\n```",
    "    {}",
    "\t{}",
    "[x]({}",
    "[[x]]({})",
    "[x\\]({})",
    "\\[x]({})",
    "[x]\\({})",
    "foo]({}) bar",
    "[click\n```\nx]({})\n```",
    "[click `x]({})` y",
    "#### {} ##",
    "-# {}",
    "{}\n===",
    "<!-- {} -->",
    "<{} ",
)

MARKS: tuple[str, ...] = (
    *"[]()<>!`\\|\n\"' x#-*_~:/&@.1",
    "```",
    "~~~",
    "````",
    "](",
    "![",
    "]:",
    "-|-",
    "\n-|-\n",
    "|---|\n",
    "| a | b |\n",
    "- ",
    "> ",
    ">>> ",
    "1. ",
    "    ",
    "\n\n",
    "\r\n",
    "\r",
    "\t",
    "<br>",
    "<b>",
    "</b>",
    "&lt;",
    "&#91;",
    "&amp;",
    "\\`",
    "\\[",
    "[1]",
    "【1】",
    "word ",
    "x = `y` ",
    "\u200b",
    "\u200d",
    "\u202e",
    "\u2066",
    "\ufeff",
    "\u00a0",
    "\u2028",
    "\x00",
    "\x1b[31m",
    "\x0b",
    "\x85",
    "\U000e0041",
    "\u3164",
    "é",
    "日本",
    "👨‍👩‍👧",
)

MENTIONS: tuple[str, ...] = (
    "<@U123ABC>",
    "<@!42>",
    "<@&42>",
    "<#C123>",
    "<!channel>",
    "<!here|x>",
    "<!subteam^S1|ops>",
    "@everyone",
    "@here",
    "@channel",
    "@every\u200bone",
    "<\u200b@U1>",
    "<@<@U1>>",
    "@@everyone",
    "<@everyone",
    "</cmd:1>",
    "<t:1>",
    "<:x:1>",
    "<id:guide>",
)


PIECES = (*(form.format(one, one) for form in FORMS for one in (*EVIL, *ALLOWED)), *MARKS, *MENTIONS, *EVIL)
"""Every piece, for a test that chooses them itself."""


def piece(chance: random.Random, evil: float = 0.75) -> str:
    """Return one piece; about a third are links in some form. ``evil`` is the share of addresses not allowed."""
    kind = chance.random()
    if kind < 0.36:
        address = chance.choice(EVIL if chance.random() < evil else ALLOWED)
        form = chance.choice(FORMS)
        return form.format(address, address)
    if kind < 0.44:
        return chance.choice(MENTIONS)
    if kind < 0.5:
        return chance.choice(EVIL if chance.random() < evil else ALLOWED)
    return chance.choice(MARKS)


def text(chance: random.Random, most: int = 24) -> str:
    """Return a hostile text of up to ``most`` pieces. In a third of the texts, every address is allowed."""
    evil = chance.choice((0.0, 0.75, 0.75))
    return "".join(piece(chance, evil) for _ in range(chance.randint(1, most)))
