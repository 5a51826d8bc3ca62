"""Rules that a statement keeps so that it runs on tables that Citus distributes by ``tenant_id``.

Each was broken once and failed on a real cluster. What a rule cannot tell from the text alone, such as the overload of
a function that is called, it lets pass: ``tests/distributed`` runs the statements on a cluster.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import psycopg

from tests.store.statement_recorder import Sent
from tests.store.syntax_tree import Node, column, conjuncts, function, in_level, of_kind, operator, parsed, walk

CHANGES = ("UpdateStmt", "DeleteStmt")
INTERVAL, TIMESTAMPTZ = 1186, 1184
"""Types of parameters, by their numbers in PostgreSQL."""


@dataclass(frozen=True, slots=True)
class Catalog:
    """What the rules need to know of the database: tables of tenants, the types of columns, and volatile functions.

    ``identities`` names the column that numbers the rows of a table. ``volatility`` has ``i``, ``s`` and ``v`` of all
    functions of a name.
    """

    tables: frozenset[str]
    times: frozenset[str]
    identities: Mapping[str, str]
    volatility: Mapping[str, str]

    @classmethod
    def read(cls, url: str) -> Catalog:
        """Read it from a migrated database."""
        with psycopg.connect(url) as connection:
            columns = connection.execute(
                "SELECT table_name, column_name, data_type, is_identity FROM information_schema.columns"
                " WHERE table_schema = 'public'"
            ).fetchall()
            functions = connection.execute(
                "SELECT proname, string_agg(DISTINCT provolatile, '') FROM pg_proc GROUP BY 1"
            )
            return cls(
                frozenset(table for table, name, *_ in columns if name == "tenant_id"),
                frozenset(name for _, name, kind, _ in columns if kind == "timestamp with time zone"),
                {table: name for table, name, _, identity in columns if identity == "YES"},
                dict(functions.fetchall()),
            )


def broken_rules(sent: Sent, catalog: Catalog) -> list[str]:
    """Return a line for each rule that the statement breaks."""
    tree = parsed(sent.sql)
    if not any(table["relname"] in catalog.tables for table in _tables(tree)):
        return []
    check = _Check(sent, catalog, frozenset(cte["ctename"] for cte in of_kind(tree, "CommonTableExpr")))
    found = [*check.upserts(tree), *check.changes(tree), *check.copies(tree), *check.notifications(tree)]
    if sent.has_tenant:
        found += check.tenants(tree, ())
    return found


def _tables(tree: Any) -> list[Node]:
    """Return the tables in the tree; where only tables may stand, the parser leaves their kind out."""
    named = [fields["relation"] for _, fields in walk(tree) if "relname" in fields.get("relation", {})]
    return [*of_kind(tree, "RangeVar"), *named]


class _Check:
    def __init__(self, sent: Sent, catalog: Catalog, ctes: frozenset[str]) -> None:
        self._types = sent.types
        self._catalog = catalog
        self._ctes = ctes

    def upserts(self, tree: Node) -> Iterator[str]:
        """DO UPDATE has neither functions that are not immutable, nor queries, nor defaults."""
        for fields in of_kind(tree, "InsertStmt"):
            conflict = fields.get("onConflictClause", {})
            for kind, inner in walk([conflict.get("targetList"), conflict.get("whereClause")]):
                if self._is_mutable(kind, inner) or kind in ("SubLink", "SetToDefault"):
                    yield f"DO UPDATE has {_shown(kind, inner)}"

    def changes(self, tree: Node) -> Iterator[str]:
        """UPDATE and DELETE have functions that are not immutable only where the coordinator can compute them."""
        for fields in of_kind(tree, *CHANGES):
            parts = [fields.get("targetList"), fields.get("whereClause")]
            for kind, inner in in_level(parts):
                if kind in ("CaseExpr", "CoalesceExpr"):
                    for below, mutable in in_level(inner):
                        if self._is_mutable(below, mutable):
                            yield f"CASE or COALESCE has {_shown(below, mutable)}"
                if kind == "FuncCall" and self._is_mutable(kind, inner):
                    if self._is_volatile(inner):
                        yield f"a change has {_shown(kind, inner)}"
                    elif of_kind(inner.get("args"), "ColumnRef"):
                        yield f"{_shown(kind, inner)} has a column as its argument"
                if kind == "A_Expr" and operator(inner) in "+-" and self._depends_on_time_zone(inner):
                    yield "a time and an interval are added, and one of them is a column"
                if kind == "CaseExpr" and "arg" in inner:
                    yield "CASE has a value before WHEN"
                if kind == "SubLink" and "RowExpr" in inner.get("testexpr", {}):
                    yield "several columns are compared with a query"
        for fields in of_kind(tree, "InsertStmt", *CHANGES):
            for kind, inner in walk(fields.get("returningClause")):
                if self._is_mutable(kind, inner) or kind == "SubLink":
                    yield f"RETURNING has {_shown(kind, inner)}"

    def copies(self, tree: Node) -> Iterator[str]:
        """INSERT ... SELECT is not done with COPY, which row-level security forbids, and not split with parameters."""
        for fields in of_kind(tree, "InsertStmt"):
            select = fields.get("selectStmt", {}).get("SelectStmt", {})
            if "valuesLists" in select:
                if of_kind(select, "SubLink"):
                    yield "VALUES has a query"
                continue
            if select.get("lockingClause"):
                yield "a query to insert locks rows"
            if not select or (self._runs_on_one_node(select) and not self._is_computed_before(fields)):
                continue
            conflict = fields.get("onConflictClause")
            if conflict is None and "returningClause" not in fields:
                yield "INSERT ... SELECT has neither ON CONFLICT nor RETURNING"
            if of_kind(conflict, "ParamRef"):
                yield "DO UPDATE of an INSERT ... SELECT has a parameter"

    def notifications(self, tree: Node) -> Iterator[str]:
        """A volatile function, such as pg_notify(), is not called where tables are read: it would run on their node."""
        for fields in of_kind(tree, "SelectStmt"):
            if any(table["relname"] in self._catalog.tables for table in _tables(fields.get("fromClause"))):
                for kind, inner in in_level(fields.get("targetList")):
                    if kind == "FuncCall" and self._is_volatile(inner):
                        yield f"{_shown(kind, inner)} runs on a node"

    def tenants(self, tree: Node, outer: Collection[str]) -> Iterator[str]:
        """Every table of tenants is bound to the tenant: by a parameter, or by an equality with one that is."""
        for kind, fields in tree.items():
            if kind in ("SelectStmt", *CHANGES, "InsertStmt"):
                yield from self._tenants_of_level(kind, fields, outer)
                return
        for one in tree.values():
            yield from self._below(one, outer)

    def _tenants_of_level(self, kind: str, fields: Node, outer: Collection[str]) -> Iterator[str]:
        sources = [fields.get("fromClause"), fields.get("usingClause")]
        tables = [inner for node, inner in in_level(sources) if node == "RangeVar"]
        if kind in CHANGES:
            tables.append(fields["relation"])
        names = {_alias(table): table for table in tables if table["relname"] in self._catalog.tables - self._ctes}
        bound = _bound_tables(fields, sources, names, outer)
        for alias, table in names.items():
            if alias not in bound:
                yield f"{table['relname']} is not bound to the tenant"
        for part in fields.values():
            yield from self._below(part, names)

    def _below(self, tree: Any, outer: Collection[str]) -> Iterator[str]:
        if isinstance(tree, list):
            for one in tree:
                yield from self._below(one, outer)
        elif isinstance(tree, dict):
            if any(kind in ("SelectStmt", *CHANGES, "InsertStmt") for kind in tree):
                yield from self.tenants(tree, outer)
                return
            for one in tree.values():
                yield from self._below(one, outer)

    def _runs_on_one_node(self, select: Node) -> bool:
        """Return whether the rows come from a table of tenants, along with their ``tenant_id``."""
        tables = _tables(select.get("fromClause"))
        first = select.get("targetList", [{}])[0].get("ResTarget", {}).get("val")
        found = column(first)
        return (
            found is not None
            and found[1] == "tenant_id"
            and bool(tables)
            and all(table["relname"] in self._catalog.tables - self._ctes for table in tables)
        )

    def _is_computed_before(self, insert: Node) -> bool:
        """Return whether the coordinator computes a value of each row: a volatile function or the row's number."""
        named = {one["ResTarget"]["name"] for one in insert.get("cols", ())}
        if self._catalog.identities.get(insert["relation"]["relname"], "tenant_id") not in named:
            return True
        return any(kind == "FuncCall" and self._is_volatile(inner) for kind, inner in walk(insert["selectStmt"]))

    def _is_mutable(self, kind: str, fields: Node) -> bool:
        if kind == "SQLValueFunction":
            return True
        return kind == "FuncCall" and "i" not in self._catalog.volatility.get(function(fields), "i")

    def _is_volatile(self, fields: Node) -> bool:
        return self._catalog.volatility.get(function(fields)) == "v"

    def _depends_on_time_zone(self, fields: Node) -> bool:
        kinds = {self._time_kind(fields.get("lexpr")), self._time_kind(fields.get("rexpr"))}
        return kinds == {"time", "interval"} and bool(of_kind([fields], "ColumnRef"))

    def _time_kind(self, node: Any) -> str | None:
        """Return ``time`` for a point in time, ``interval`` for an interval, None for anything else or unknown."""
        if (found := column(node)) is not None:
            return "time" if found[1] in self._catalog.times else None
        ((kind, fields),) = node.items() if isinstance(node, dict) and len(node) == 1 else (("", {}),)
        if kind == "FuncCall":
            return {"now": "time", "make_interval": "interval"}.get(function(fields))
        if kind == "ParamRef":
            known = self._types[fields["number"] - 1] if fields["number"] <= len(self._types) else 0
            return {INTERVAL: "interval", TIMESTAMPTZ: "time"}.get(known)
        if kind == "TypeCast":
            name = fields["typeName"]["names"][-1]["String"]["sval"]
            return {"interval": "interval", "timestamptz": "time"}.get(name)
        if kind in ("MinMaxExpr", "CoalesceExpr"):
            return next(filter(None, map(self._time_kind, fields["args"])), None)
        if kind == "A_Expr":
            kinds = [self._time_kind(fields.get("lexpr")), self._time_kind(fields.get("rexpr"))]
            if operator(fields) == "-" and kinds == ["time", "time"]:
                return "interval"
            return next(filter(None, kinds), None)
        return None


def _bound_tables(fields: Node, sources: Any, names: Collection[str], outer: Collection[str]) -> set[str]:
    """Return the aliases of the tables of one query whose ``tenant_id`` equals the tenant, directly or by others."""
    joins = [inner for node, inner in in_level(sources) if node == "JoinExpr"]
    steps = {inner["alias"]["aliasname"] for _, inner in in_level(sources) if "alias" in inner} - set(names)
    merged = any(one["String"]["sval"] == "tenant_id" for join in joins for one in join.get("usingClause", ()))
    bound: set[str] = set()
    equal: list[set[str]] = [set(names)] if merged else []
    conditions = [fields.get("whereClause"), *(join.get("quals") for join in joins)]
    for expression in (one.get("A_Expr", {}) for condition in conditions for one in conjuncts(condition)):
        columns = [found for found in map(column, (expression.get("lexpr"), expression.get("rexpr"))) if found]
        keys = [found for found in columns if found[1] == "tenant_id"]
        if not keys or operator(expression) != "=":
            continue
        meant = set().union(*(_aliases(found, names) for found in keys))
        equal.append(meant)
        if len(columns) == 1 or any(found[0] in {*outer, *steps} for found in keys):
            bound |= meant
    for _ in equal:
        for group in equal:
            if group & bound:
                bound |= group
    return bound


def _aliases(found: tuple[str, str], names: Collection[str]) -> set[str]:
    """Return the tables whose ``tenant_id`` is meant: of its table, or of every one if it names none."""
    return {found[0]} & set(names) if found[0] else set(names)


def _alias(table: Node) -> str:
    return str(table.get("alias", {}).get("aliasname") or table["relname"])


def _shown(kind: str, fields: Node) -> str:
    return f"{function(fields)}()" if kind == "FuncCall" else {"SubLink": "a query"}.get(kind, kind)
