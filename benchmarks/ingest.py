"""Measures ingestion speed against the bare embedding model on the same chunks, in one run.

    python -m benchmarks.ingest [FOLDER] [--documents 200] [--notes]

Without a folder, it writes a corpus of its own; with ``--notes``, of files with one sentence each. Prints the chunks
per second of the whole ingestion (read, parse, chunk, embed, store, index; the model is already loaded), and of
``SentenceTransformer.encode`` with the same chunk texts: in fp32, and in the precision that the product uses. The bare
model runs twice, because the machine may be shared. ``cpu_ms`` is the processor time of a chunk in milliseconds, in
this process, in the parsers and in Postgres together, and ``bare_cpu_ms`` that of the bare model. They depend less on
what else runs.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import text

from benchmarks.shared.harness import fresh_postgres, run, table
from bot.store.database.session import Database
from knowledge.embedders.cpu_threads import share_the_processor
from knowledge.embedders.local import SentenceTransformerEmbedder, load
from knowledge.embedders.model_files import locate
from knowledge.ingest import Ingestor
from knowledge.packaged_models import OFFLINE_MODEL
from knowledge.sources.files import FolderSource

TENANT = "bench"
WORDS = (
    "service deploy region cluster database index query latency budget owner rotation incident backup restore policy "
    "holiday travel hotel invoice approval contract customer release branch merge review pipeline artifact secret "
    "token gateway channel thread message answer passage document section table number because however although "
    "before after during within without between every several never always must should may the a an of in on for with"
).split()


def write_corpus(folder: Path, documents: int, seed: int = 1) -> None:
    """Write Markdown pages of very different length, as in real documentation."""
    rng = random.Random(seed)
    for number in range(documents):
        lines = [f"# Page {number} about {rng.choice(WORDS)}"]
        for section in range(rng.choice((1, 1, 2, 3, 5, 8, 20))):
            lines.append(f"## {rng.choice(WORDS).title()} {section}")
            for _ in range(rng.randint(1, 5)):
                sentences = (
                    " ".join(rng.choices(WORDS, k=rng.randint(5, 25))).capitalize() + "."
                    for _ in range(rng.randint(1, 8))
                )
                lines.append(" ".join(sentences))
        (folder / f"page-{number:05}.md").write_text("\n\n".join(lines))


def write_notes(folder: Path, documents: int, seed: int = 1) -> None:
    """Write Markdown files of one heading and one sentence."""
    rng = random.Random(seed)
    for number in range(documents):
        sentence = " ".join(rng.choices(WORDS, k=rng.randint(8, 30))).capitalize()
        (folder / f"note-{number:05}.md").write_text(f"# Note {number}\n\n{sentence}.\n")


def cpu_seconds() -> float:
    """Return the processor time of this process and its child processes, which include the parsers and Postgres."""
    me = psutil.Process()
    times = [me.cpu_times()]
    for child in me.children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            times.append(child.cpu_times())
    return float(sum(one.user + one.system for one in times))


async def measure(url: str, folder: Path) -> dict[str, Any]:
    """Ingest the folder into a migrated database and return the figures."""
    embedder = SentenceTransformerEmbedder()
    await embedder.encode(["warm"], "passage")
    database = Database(url)
    ingestor = Ingestor(database.tenant, embedder)
    source = FolderSource(folder, max_bytes=50_000_000)
    cpu = -cpu_seconds()
    try:
        report = await ingestor.ingest([source], tenant_id=TENANT)
        cpu += cpu_seconds()
        again = await ingestor.ingest([source], tenant_id=TENANT)
        async with database.tenant(TENANT) as session:
            rows = await session.scalars(
                text("SELECT CASE header WHEN '' THEN text ELSE header || E'\\n' || text END FROM chunks")
            )
            texts = list(rows)
    finally:
        await ingestor.aclose()
        await embedder.aclose()
        await database.aclose()
    return {
        "documents": report.documents,
        "failed": len(report.failed),
        "chunks": report.chunks,
        "ingest": report.chunks / report.seconds,
        "cpu_ms": 1000 * cpu / max(1, report.chunks),
        "unchanged_seconds": again.seconds,
        "texts": texts,
    }


def texts_per_second(model: Any, texts: Sequence[str]) -> float:
    """Return the texts encoded per second."""
    began = time.perf_counter()
    model.encode(list(texts), show_progress_bar=False)
    return len(texts) / (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--documents", type=int, default=200, help="pages of the generated corpus")
    parser.add_argument("--notes", action="store_true", help="generate files of one sentence")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    share_the_processor()  # As the product does before it imports torch: waiting threads would count as processor time.
    from sentence_transformers import SentenceTransformer

    with tempfile.TemporaryDirectory(prefix="parley-bench-") as scratch, fresh_postgres() as url:
        folder = given.folder or Path(scratch)
        if given.folder is None:
            (write_notes if given.notes else write_corpus)(folder, given.documents)
        figures = run(measure(url, folder))
    texts = figures.pop("texts")
    plain, ours = SentenceTransformer(locate(OFFLINE_MODEL), device="cpu"), load(OFFLINE_MODEL)
    sample = texts[: max(200, len(texts) // 2)]
    rounds = [(texts_per_second(plain, sample), texts_per_second(ours, sample)) for _ in range(2)]
    cpu = time.process_time()
    texts_per_second(ours, sample)
    figures["bare_cpu_ms"] = 1000 * (time.process_time() - cpu) / len(sample)
    figures["bare_fp32"] = sum(fp32 for fp32, _ in rounds) / len(rounds)
    figures["bare_product_precision"] = sum(own for _, own in rounds) / len(rounds)
    figures["of_fp32"] = figures["ingest"] / figures["bare_fp32"]
    figures["of_product_precision"] = figures["ingest"] / figures["bare_product_precision"]
    if given.json:
        print(json.dumps(figures))
        return
    print(table(figures))


if __name__ == "__main__":
    main()
