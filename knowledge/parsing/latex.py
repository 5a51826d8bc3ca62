"""Parses LaTeX: its text without commands, with sections as headings, tables and listings."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pylatexenc.latex2text import LatexNodes2Text

from knowledge.errors import ParseError
from knowledge.metadata import AUTHOR
from knowledge.parsing.document_builder import Builder, ParsedDocument

_LEVELS = {"part": 1, "chapter": 2, "section": 3, "subsection": 4, "subsubsection": 5, "paragraph": 6}
_SECTION = re.compile(r"\\(part|chapter|section|subsection|subsubsection|paragraph)\*?\s*(?:\[[^\]]*\])?\s*(?=\{)")
_WHOLE = re.compile(
    r"\\begin\{(?P<env>verbatim\*?|lstlisting|minted|tabular[x*]?|longtable)\}(?P<body>.*?)\\end\{(?P=env)\}", re.DOTALL
)
"""Environments that are read as a whole: listings and tables."""
_COMMENT = re.compile(r"(?<!\\)%.*")
_FIELD = re.compile(r"\\(title|author)\s*(?:\[[^\]]*\])?\s*(?=\{)")
_ROW_END = re.compile(r"\\\\(?:\[[^\]]*\])?|\\tabularnewline")
_CELL_END = re.compile(r"(?<!\\)&")
_RULES = re.compile(r"\\(?:hline|toprule|midrule|bottomrule|endhead|endfoot|endfirsthead|cline\{[^}]*\}|cmidrule\S*)")
_SPAN = re.compile(r"\\multi(?:column|row)\{[^{}]*\}\{[^{}]*\}(?=\{)")
_UNSHOWN = re.compile(r"\\(?:maketitle|tableofcontents|listoffigures|listoftables|(?:label|input|include)\{[^}]*\})")
_REFERENCE = re.compile(r"\\(?:(?:eq|auto|page|c|C)?ref|cite\w*)\*?(?:\[[^\]]*\])*\{([^}]*)\}")
_EMPTY_LINE = re.compile(r"\n[ \t]*\n")


def parse(text: str) -> ParsedDocument:
    """Parse the body of a LaTeX file, or all of it if it is a part of another one. Raises ParseError."""
    try:
        return _parsed(text)
    except RecursionError:
        raise ParseError("its commands are nested too deeply. Export it as PDF and add that file") from None


def _parsed(text: str) -> ParsedDocument:
    fields = {name: _plain(_braced(text, found.end())[0]) for found in _FIELD.finditer(text) for name in found.groups()}
    start = text.find("\\begin{document}")
    body = text[start + len("\\begin{document}") :] if start >= 0 else text
    end = body.find("\\end{document}")
    builder = Builder()
    at = 0
    body = body if end < 0 else body[:end]
    for found in _WHOLE.finditer(body):
        _add_prose(builder, body[at : found.start()])
        _add_whole(builder, found.group("env"), found.group("body"))
        at = found.end()
    _add_prose(builder, body[at:])
    parsed = builder.build(fields.get("title", ""))
    metadata = {AUTHOR: fields["author"]} if fields.get("author") else {}
    return ParsedDocument(parsed.title, parsed.text, parsed.blocks, metadata, parsed.warnings)


def _add_prose(builder: Builder, source: str) -> None:
    source = _COMMENT.sub("", source)
    at = 0
    for found in _SECTION.finditer(source):
        _add_paragraphs(builder, source[at : found.start()])
        title, at = _braced(source, found.end())
        builder.heading(_LEVELS[found.group(1)], _plain(title))
    _add_paragraphs(builder, source[at:])


def _add_paragraphs(builder: Builder, source: str) -> None:
    for paragraph in _EMPTY_LINE.split(_converted(source)):
        builder.add("paragraph", "\n".join(" ".join(line.split()) for line in paragraph.split("\n") if line.strip()))


def _add_whole(builder: Builder, environment: str, body: str) -> None:
    if not environment.startswith(("tabular", "longtable")):
        builder.add("code", re.sub(r"\A(?:\[[^\]]*\])?(?:\{[^}]*\})?[ \t]*\n", "", body))
        return
    arguments = r"\A(?:\s*\[[^\]]*\])?(?:\s*\{(?:[^{}]|\{[^{}]*\})*\}){1,2}" if "x" in environment else _COLUMNS
    rows = _RULES.sub("", re.sub(arguments, "", _COMMENT.sub("", body)))
    builder.table([list(_cells(row)) for row in _ROW_END.split(rows)])


_COLUMNS = r"\A(?:\s*\[[^\]]*\])?\s*\{(?:[^{}]|\{[^{}]*\})*\}"
"""The arguments of a table: where it stands, and its columns."""


def _cells(row: str) -> Iterator[str]:
    for cell in _CELL_END.split(row):
        yield _plain(_SPAN.sub("", cell))


def _braced(source: str, start: int) -> tuple[str, int]:
    """Return what is between the brace at ``start`` and the one that closes it, and the place behind that."""
    depth = 0
    for index in range(start, len(source)):
        if source[index] == "{" and source[index - 1] != "\\":
            depth += 1
        elif source[index] == "}" and source[index - 1] != "\\":
            depth -= 1
            if depth == 0:
                return source[start + 1 : index], index + 1
    return source[start + 1 :], len(source)


def _plain(source: str) -> str:
    return " ".join(_converted(source).split())


def _converted(source: str) -> str:
    """Return the text of a source without its commands. Formulas stay as they are written, references are names."""
    shown = _REFERENCE.sub(r"[\1]", _UNSHOWN.sub("", source))
    return str(LatexNodes2Text(math_mode="verbatim").latex_to_text(shown, tolerant_parsing=True))
