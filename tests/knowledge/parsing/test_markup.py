"""reStructuredText, AsciiDoc, Org and LaTeX with their headings, and the fields before a text."""

from __future__ import annotations

import pytest

from knowledge.parsing import parsers
from knowledge.parsing.document_builder import ParsedDocument


def parsed(text: str, name: str) -> ParsedDocument:
    return parsers.parse(text.encode(), name)


def blocks(document: ParsedDocument) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(b.kind, document.text[b.start : b.end], b.heading) for b in document.blocks]


RST = """\
==========
Lot manual
==========

:Author: Ann Example
:Date: 2031-01-05

.. a comment, which nobody sees
   and its second line

Gates
=====

The gates open at *six*. Ask::

   gate --open 2

   gate --close 2

Badges
------

.. note:: A lost badge is blocked.

+------+-----+
| Lot  | Fee |
+======+=====+
| A    | 12  |
+------+-----+

Fees
====
They are due at once.
"""
ASCIIDOC = """\
= Lot manual
:author: Ann Example
:revdate: 2031-01-05

== Gates
The gates open at *six*.

// a comment, which nobody sees

=== Badges ===

----
== no heading, but code
----

|===
|Lot |Fee
|A |12
|===

////
nobody sees this
////

Fees
----
They are due at once.
"""
ORG = """\
#+TITLE: Lot manual
#+AUTHOR: Ann Example
#+DATE: <2031-01-05>

* Gates :doors:
The gates open at *six*.

# a comment, which nobody sees

** TODO Badges
#+BEGIN_SRC sh
,* no heading, but code
* nor this
#+END_SRC

| Lot | Fee |
|-----+-----|
| A   | 12  |

* Fees
They are due at once.
"""
LATEX = r"""
\documentclass{article}
\title{Lot \emph{manual}}
\author{Ann Example}
\begin{document}
\maketitle
% a comment, which nobody sees
\section{Gates}\label{gates}
The gates open at~six, and 5\,\% of them in M\"unchen.

See \ref{fees}.
\subsection*{Badges}
\begin{lstlisting}[language=sh]
gate --open 2 % no comment, but code
\end{lstlisting}
\begin{table}\begin{tabular}{l|r}
\hline
Lot \& floor & Fee \\ \hline
A & \textbf{12} \\
\end{tabular}\end{table}
\section{Fees}
They are due at once.
\end{document}
"""


@pytest.mark.parametrize(
    ("text", "name", "title"),
    [(RST, "a.rst", "Lot manual"), (ASCIIDOC, "a.adoc", "Lot manual"), (ORG, "a.org", "Lot manual")],
)
def test_headings_code_tables_and_fields_are_found_and_the_text_stays(text: str, name: str, title: str) -> None:
    document = parsed(text, name)
    assert document.text == text
    assert document.title == title
    assert (document.metadata["author"], document.metadata["date"]) == ("Ann Example", "2031-01-05")
    found = [(kind, heading[-1:]) for kind, _, heading in blocks(document)]
    shown = "\n".join(block for _, block, _ in blocks(document))
    assert "nobody sees" not in shown
    above = () if name == "a.org" else (title,)
    paths = {heading for kind, _, heading in blocks(document) if kind != "heading"}
    assert {(*above, "Gates"), (*above, "Gates", "Badges")} <= paths
    assert ("table", ("Badges",)) in found
    assert ("code", ("Gates",) if name == "a.rst" else ("Badges",)) in found
    fees = next(heading for _, block, heading in blocks(document) if block == "They are due at once.")
    assert fees == (*above, "Fees")


def test_literal_lines_of_restructuredtext_are_one_block() -> None:
    found = blocks(parsed(RST, "a.rst"))
    assert ("code", "   gate --open 2\n\n   gate --close 2", ("Lot manual", "Gates")) in found


def test_latex_is_read_without_its_commands() -> None:
    document = parsed(LATEX, "a.tex")
    assert document.title == "Lot manual"
    assert document.metadata["author"] == "Ann Example"
    assert blocks(document) == [
        ("heading", "Gates", ()),
        ("paragraph", "The gates open at six, and 5 % of them in München.", ("Gates",)),
        ("paragraph", "See [fees].", ("Gates",)),
        ("heading", "Badges", ("Gates",)),
        ("code", "gate --open 2 % no comment, but code", ("Gates", "Badges")),
        ("table", "| Lot & floor | Fee |\n| --- | --- |\n| A | 12 |", ("Gates", "Badges")),
        ("heading", "Fees", ()),
        ("paragraph", "They are due at once.", ("Fees",)),
    ]


FRONT = """\
---
title: "Parking: lot B"
authors:
  - name: Ann Example
  - Bob
last_updated: 2031-02-03
lang: en
tags: [badge, gate]
draft: false
---
# Lot B

The gate is blue.
"""


def test_fields_before_a_text_are_metadata_and_are_found_by_search() -> None:
    document = parsed(FRONT, "a.md")
    assert document.title == "Parking: lot B"
    expected = {"author": "Ann Example, Bob", "date": "2031-02-03", "language": "en", "format": "markdown"}
    assert document.metadata == expected
    kind, shown, heading = blocks(document)[0]
    assert (kind, heading) == ("paragraph", ())
    assert shown.startswith("title:")
    assert "tags: [badge, gate]" in shown
    assert "---" not in shown
    assert blocks(document)[-1] == ("paragraph", "The gate is blue.", ("Lot B",))


@pytest.mark.parametrize(
    ("text", "title", "author"),
    [
        ("+++\ntitle = 'Lot C'\nauthor = 'Ann'\n+++\n# Gates\n", "Lot C", "Ann"),
        ("---\ntitle: Lot: C\nauthor: *Ann\n---\n# Gates\n", "Lot: C", "*Ann"),
        ("---\nA text between two rules.\n---\n# Gates\n", "Gates", None),
        ("---\nauthor:\n---\n# Gates\n", "Gates", None),
        ("---\ndate: some day\n---\n# Gates\n", "Gates", None),
    ],
    ids=["TOML", "no valid YAML", "rules", "empty", "no date"],
)
def test_fields_in_other_forms(text: str, title: str, author: str | None) -> None:
    document = parsed(text, "a.md")
    assert document.title == title
    assert document.metadata.get("author") == author
    assert "date" not in document.metadata
