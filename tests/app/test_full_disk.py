"""The disk of PostgreSQL fills up while people ask: the log says so, nothing accepted is lost, and it goes on later.

Runs on a small file system in memory, which only root may mount.
"""

from __future__ import annotations

import asyncio
import random
import string
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from pydantic import SecretStr

from bot.config import Settings
from bot.errors import StoreAway
from bot.store.database import migrate
from bot.store.embedded.temporary import temporary_server
from bot.types.turns import Turn
from tests.app.test_processes import Channel, accepted, processes, question, until_finished
from tests.conftest import FAST_SETTINGS
from tests.doubles.models import ModelDouble, Reply

MEGABYTES = 320
LONG = 3_500
"""Characters of each question. They are random, so that the database cannot compress them."""
MOST_QUESTIONS = 3_000
PATIENCE = 150.0


@contextmanager
def small_disk(folder: Path, megabytes: int = MEGABYTES, *, files: int = 0) -> Iterator[Path]:
    """Mount a small file system; skip the test where that is not allowed. 0 ``files`` are any number."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,nr_inodes={files},mode=755", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a file system: run it as root on Linux")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(ballast: Path) -> None:
    """Use up all room that is left."""
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(2**16)):
            pass


@pytest.mark.timeout(400)
@pytest.mark.usefixtures("unhurried_acceptance")
async def test_nothing_that_was_accepted_is_lost(tmp_path: Path, models: ModelDouble) -> None:
    models.script = lambda _: Reply("Dogs are welcome on Fridays.")
    channel, kept, detail = Channel(), list[Turn](), ""
    letters = random.Random(1)
    with small_disk(tmp_path / "disk") as disk, temporary_server(f"{disk}/parley-", options=FAST_SETTINGS) as server:
        migrate.upgrade(server.url)
        settings = Settings(
            _env_file=None,
            database_url=SecretStr(server.url),
            data_dir=tmp_path,
            anthropic_api_key=SecretStr(models.anthropic_key),
            anthropic_base_url=models.anthropic_url,
            daily_tokens=0,
            max_question_chars=10 * LONG,
        )
        async with processes(settings, channel, 1) as (app,):
            first = await accepted(app, question("When may dogs come?", "0.0"))
            app.dispatcher.start(first, channel.surface(first))
            await until_finished(channel, first)
            fill(disk / "ballast")
            for number in range(1, MOST_QUESTIONS):
                text = "".join(letters.choices(string.ascii_letters + string.digits, k=LONG))
                try:
                    kept.append(await accepted(app, question(f"{text}?", f"{number}.0")))
                except StoreAway as away:
                    detail = away.detail
                    break
            assert "disk is full" in detail
            assert "Free disk space" in detail
            (disk / "ballast").unlink()
            async with asyncio.timeout(PATIENCE):
                while server.pid() is None or "notifications" in app.services.health.faults:
                    await asyncio.to_thread(server.ensure_running)
                    await asyncio.sleep(0.05)
            again = await accepted(app, question("And cats?", "again.0"))
            for turn in (*kept, again):
                app.dispatcher.start(turn, channel.surface(turn))
            for turn in (*kept, again):
                await until_finished(channel, turn)
                assert len(channel.of(turn)) == 1
