"""Measures many small tenants in one database: searches, memory, migrations, maintenance rounds and the start.

    python -m benchmarks.many_tenants --tenants 10000

Runs its own server. One tenant ingests generated documents; its rows, with the vectors of the offline model,
are copied to the others.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
from psycopg import sql
from pydantic import SecretStr

from benchmarks.shared.harness import resident_mb
from benchmarks.shared.synthetic_chunks import Language
from bot.app import App, open_app
from bot.config import Settings
from bot.evals.metrics import percentile
from bot.jobs import maintenance
from bot.store.database import migrate
from bot.store.database.session import Database
from bot.store.database.tables import tables_in_order
from bot.store.embedded.temporary import temporary_server
from bot.store.tenants import with_upkeep
from knowledge.embedders import SentenceTransformerEmbedder
from knowledge.ingest import Ingestor
from knowledge.parsing.isolation.sandbox import Parser
from knowledge.types.scope import Scope
from tests.knowledge.fakes import ListSource, markdown

SERVER = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "1GB",
    "max_wal_size": "8GB",
    "maintenance_work_mem": "1GB",
}
PARAGRAPHS, WORDS = 5, 90
"""Chunks of a document, and words of a chunk."""
BATCH = 500
"""Tenants that one statement fills."""


def name_of(number: int) -> str:
    """Return the ID of a tenant by its number, from 1."""
    return f"slack:T{number}"


async def ingest_first(url: str, chunks: int) -> None:
    """Add documents with about ``chunks`` chunks to the first tenant."""
    language, random = Language(), np.random.default_rng(3)
    documents = [
        markdown(
            f"d{n}.md",
            "\n\n".join(f"# Part {n}.{p}\n\n{' '.join(language.words(random, WORDS))}." for p in range(PARAGRAPHS)),
        )
        for n in range(chunks // PARAGRAPHS)
    ]
    async with aclosing(Database(url)) as database, aclosing(Parser()) as parser:
        ingestor = Ingestor(database.bulk, SentenceTransformerEmbedder(), parser=parser)
        report = await ingestor.ingest([ListSource("list", *documents)], tenant_id=name_of(1))
    if report.failed:
        raise SystemExit(report.failed[0].error)


def copy_first(admin_url: str, tenants: int) -> None:
    """Copy every row of the first tenant to the others, and gather statistics.

    The HNSW index is left out while rows are copied. Tenants of this size are scanned without it.
    """
    with psycopg.connect(admin_url, autocommit=True) as connection:
        connection.execute("SET session_replication_role TO replica")
        connection.execute(
            "INSERT INTO tenants (tenant_id, platform) SELECT 'slack:T' || n, 'slack' FROM generate_series(1, %s) AS n",
            (tenants,),
        )
        found = connection.execute("SELECT indexname FROM pg_indexes WHERE indexdef LIKE '%%USING hnsw%%'").fetchall()
        for (index,) in found:
            connection.execute(sql.SQL("DROP INDEX {}").format(sql.Identifier(index)))
        for table in tables_in_order(connection):
            others = [column for column in table.columns if column != "tenant_id"]
            if "tenant_id" not in table.columns or table.name == "tenants":
                continue
            columns = sql.SQL(", ").join(map(sql.Identifier, others))
            copying = sql.SQL(
                "INSERT INTO {table} (tenant_id, {columns}) OVERRIDING SYSTEM VALUE SELECT 'slack:T' || n, {columns} "
                "FROM {table}, generate_series({first}, {last}) AS n WHERE tenant_id = 'slack:T1'"
            )
            for first in range(2, tenants + 1, BATCH):
                bounds = {"first": sql.Literal(first), "last": sql.Literal(min(first + BATCH - 1, tenants))}
                connection.execute(copying.format(table=sql.Identifier(table.name), columns=columns, **bounds))
        connection.execute("VACUUM ANALYZE")


async def timed(work: Callable[[], Awaitable[Any]]) -> float:
    """Return the milliseconds that the work takes."""
    began = time.perf_counter()
    await work()
    return (time.perf_counter() - began) * 1000


async def measure_searches(app: App, tenants: int, questions: int) -> dict[str, float]:
    """Return the milliseconds of searches, each in another tenant, with and without encoding the question."""
    language, random = Language(), np.random.default_rng(8)
    total, encoding = [], []
    for _ in range(questions):
        scope = Scope(name_of(int(random.integers(1, tenants + 1))))
        found = await app.services.search(" ".join(language.words(random, 5)), scope)
        if not found.passages:
            raise SystemExit("A search found nothing.")
        total.append(found.timings_ms["total"])
        encoding.append(found.timings_ms["embed"])
    without = [whole - embed for whole, embed in zip(total, encoding, strict=True)]
    shares = (("p50", 0.5), ("p95", 0.95))
    return {
        **{f"{name}_ms": round(percentile(total, share), 1) for name, share in shares},
        **{f"without_encoding_{name}_ms": round(percentile(without, share), 1) for name, share in shares},
    }


async def measure(url: str, admin_url: str, tenants: int, chunks: int, questions: int) -> dict[str, Any]:
    """Return all figures."""
    result: dict[str, Any] = {"tenants": tenants}
    began = time.perf_counter()
    await ingest_first(url, chunks)
    await asyncio.to_thread(copy_first, admin_url, tenants)
    result["fill_seconds"] = round(time.perf_counter() - began)
    with psycopg.connect(admin_url) as connection:
        sizes = "SELECT count(*), pg_database_size(current_database()) / 1048576 FROM chunks"
        result["chunks"], result["database_mb"] = connection.execute(sizes).fetchone() or (0, 0)
    newest = migrate.REVISIONS[-1]
    migrate.downgrade(url, migrate.REVISIONS[-2])
    result["migration_ms"] = {newest: round(await timed(lambda: asyncio.to_thread(migrate.upgrade, url)))}
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(_env_file=None, database_url=SecretStr(url), data_dir=Path(folder))
        async with open_app(settings) as app:
            result["start_ms"] = round((time.perf_counter() - began) * 1000)
            await app.retriever.warm(name_of(1))
            before = resident_mb()
            result["search"] = await measure_searches(app, tenants, questions)
            regular, another = maintenance.RegularMaintenance(), maintenance.RegularMaintenance()
            result["memory_mb"] = {"before": round(before), "after": round(resident_mb())}
            result["round_ms"] = {
                "name tenants with upkeep": round(await timed(lambda: with_upkeep(app.database))),
                "refresh": round(await timed(lambda: maintenance.refresh_due(app.services))),
                "first round of a worker, with the tenants that are due": round(
                    await timed(lambda: regular(app.services))
                ),
                "maintain all at once": round(await timed(lambda: maintenance.run_maintenance(app.services))),
                "first round of another worker, with no tenant due": round(await timed(lambda: another(app.services))),
            }
    result["load"] = os.getloadavg()[0]
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tenants", type=int, default=10_000)
    parser.add_argument("--chunks", type=int, default=100)
    parser.add_argument("--questions", type=int, default=300)
    given = parser.parse_args()
    with temporary_server(f"{tempfile.gettempdir()}/parley-tenants-", options=SERVER) as server:
        migrate.upgrade(server.url)
        found = asyncio.run(measure(server.url, server.admin_url, given.tenants, given.chunks, given.questions))
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
