"""A process that ingests a folder and logs each text that it encodes; tests kill it.

python -m tests.ingestion.slow_sources DATABASE_URL FOLDER LOG [DELAY]
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from bot.ingestion import DailyLimit, IngestRunner, ingest_in_process
from bot.store.budgets.daily_additions import AddedLimits
from bot.store.database.session import Database
from knowledge.ingest import Ingestor
from knowledge.ports import Encoded, EncodeKind, Source
from knowledge.sources.files import FolderSource
from tests.knowledge.fakes import WordEmbedder

TENANT = "local"


class Noted(WordEmbedder):
    """Logs every text, one per line, before it encodes them."""

    def __init__(self, log: Path, delay: float) -> None:
        super().__init__()
        self._log = log
        self._delay = delay

    async def encode(self, texts: Sequence[str], kind: EncodeKind) -> Encoded:
        await asyncio.sleep(self._delay * len(texts))
        with self._log.open("a") as log:
            log.writelines(f"{' '.join(text.split())}\n" for text in texts)
        return await super().encode(texts, kind)


NO_LIMIT = DailyLimit(AddedLimits(0, 0), "UTC", lambda: datetime.now(UTC))


def no_source(spec: str, *, files: bool) -> Source:
    raise AssertionError(spec)


async def main(url: str, folder: str, log: str, delay: str = "0") -> None:
    database = Database(url)
    ingestor = Ingestor(database.tenant, Noted(Path(log), float(delay)), chunk_tokens=64)
    source = FolderSource(Path(folder), max_bytes=1_000_000)
    runner = IngestRunner(database, ingestor, no_source, NO_LIMIT, progress_seconds=0.1)
    try:
        report = await ingest_in_process(runner, TENANT, source, audience="tenant", now=datetime.now(UTC))
    finally:
        await ingestor.aclose()
        await database.aclose()
    print(f"documents {report.documents} chunks {report.chunks} unchanged {report.unchanged}")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
