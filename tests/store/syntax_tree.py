"""Walks the syntax trees of SQL statements, as PostgreSQL's own parser returns them in JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest

Node = dict[str, Any]
QUERIES = ("SelectStmt", "InsertStmt", "UpdateStmt", "DeleteStmt")


def parsed(sql: str) -> Node:
    """Return the tree of the only statement in ``sql``, ``{kind: fields}``."""
    parser = pytest.importorskip("pglast.parser", reason="pglast is not installed; it is in the extra 'dev'")
    (statement,) = json.loads(parser.parse_sql_json(sql))["stmts"]
    return cast(Node, statement["stmt"])


def walk(tree: Any, into: Callable[[str], bool] = lambda kind: True) -> Iterator[tuple[str, Node]]:
    """Yield the kind and the fields of every node in the tree. Nodes below one are left out unless ``into(kind)``."""
    if isinstance(tree, list):
        for one in tree:
            yield from walk(one, into)
    elif isinstance(tree, dict):
        for kind, fields in tree.items():
            is_node = kind[:1].isupper() and isinstance(fields, dict)
            if is_node:
                yield kind, fields
            if not is_node or into(kind):
                yield from walk(fields, into)


def of_kind(tree: Any, *kinds: str) -> list[Node]:
    """Return the fields of every node of these kinds."""
    return [fields for kind, fields in walk(tree) if kind in kinds]


def in_level(tree: Any) -> Iterator[tuple[str, Node]]:
    """Yield the nodes that belong to one query, without those of the queries in it."""
    return walk(tree, into=lambda kind: kind not in (*QUERIES, "CommonTableExpr"))


def column(node: Any) -> tuple[str, str] | None:
    """Return the table or alias (empty if there is none) and the name of a column; None for any other node."""
    if not isinstance(node, dict) or "ColumnRef" not in node:
        return None
    names = [field["String"]["sval"] for field in node["ColumnRef"]["fields"] if "String" in field]
    return (names[-2] if len(names) > 1 else "", names[-1]) if names else None


def function(fields: Node) -> str:
    """Return the name of the function that a ``FuncCall`` calls."""
    return str(fields["funcname"][-1]["String"]["sval"])


def operator(fields: Node) -> str:
    """Return the operator of an ``A_Expr``."""
    return str(fields["name"][-1]["String"]["sval"])


def conjuncts(condition: Any) -> Iterator[Any]:
    """Yield the conditions that must all be true."""
    if isinstance(condition, dict) and condition.get("BoolExpr", {}).get("boolop") == "AND_EXPR":
        for one in condition["BoolExpr"]["args"]:
            yield from conjuncts(one)
    elif condition is not None:
        yield condition
