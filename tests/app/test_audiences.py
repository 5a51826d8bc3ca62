"""Nobody gets at documents that not everybody who reads the reply may read: the matrix of ``benchmarks.audiences``."""

from __future__ import annotations

from pathlib import Path

from pydantic import SecretStr

from benchmarks import audiences
from bot.app import open_app
from bot.config import Settings
from bot.types.conversation import LOCAL_TENANT


async def test_no_canary_reaches_people_who_may_not_read_it(database_url: str, tmp_path: Path) -> None:
    settings = Settings(_env_file=None, database_url=SecretStr(database_url), data_dir=tmp_path, reranker="none")
    async with open_app(settings) as app:
        found = await audiences.measure(app, (LOCAL_TENANT,))
    print(audiences.report(found))
    assert (found.leaks, found.silent) == ([], [])
    for person in audiences.PEOPLE:
        assert found.controls[person], f"{person} was shown nothing at all, so the matrix proves nothing"
