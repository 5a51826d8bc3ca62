"""Prints the table of checks and leaks.

    python -m benchmarks.audiences [--tenants 3] [--only database|code]

``--only database`` takes the conditions on the tenant out of every statement, so that row-level security alone keeps
tenants apart. ``--only code`` disables row-level security.
"""

from __future__ import annotations

import argparse
import tempfile
from contextlib import nullcontext
from pathlib import Path

from pydantic import SecretStr

from benchmarks.audiences import matrix, single_defenses
from benchmarks.audiences.matrix import Found
from benchmarks.shared.harness import run
from bot.app import open_app
from bot.config import Settings
from bot.store.database import migrate
from bot.store.embedded.temporary import temporary_server
from bot.types.conversation import LOCAL_TENANT

TOKEN = "canaries-sing-in-the-harbor"


async def _main(tenant_ids: tuple[str, ...], url: str, folder: Path) -> Found:
    settings = Settings(
        _env_file=None,
        database_url=SecretStr(url),
        data_dir=folder,
        reranker="none",
        web_token=SecretStr(TOKEN),
    )
    async with open_app(settings) as app:
        return await matrix.measure(app, tenant_ids)


def main() -> None:
    """Print the table; exit with 1 if there is a leak."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tenants", type=int, default=3)
    parser.add_argument("--only", choices=("database", "code"), default="")
    given = parser.parse_args()
    tenant_ids = (LOCAL_TENANT, *(f"slack:T{number}" for number in range(2, given.tenants + 1)))
    with temporary_server("parley-benchmark-") as server, tempfile.TemporaryDirectory() as folder:
        migrate.upgrade(server.url)
        if given.only == "code":
            single_defenses.disable_row_level_security(server.admin_url)
        with single_defenses.without_tenant_conditions() if given.only == "database" else nullcontext():
            found = run(_main(tenant_ids, server.url, Path(folder)))
        wrong_rows = single_defenses.rows_of_wrong_tenants(server.admin_url, matrix.owners(tenant_ids))
    print(matrix.report(found))
    print(f"rows with a canary of another tenant: {len(wrong_rows)}", *wrong_rows[:20], sep="\n")
    if found.leaks or found.silent or wrong_rows:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
