"""The embedded server's programs run although they are installed where only root may enter."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.store.embedded import binaries
from bot.store.embedded.temporary import temporary_server
from tests.store.test_embedded_server import AS_ROOT, QUICK, ask

pytestmark = AS_ROOT


@pytest.fixture
def installed_for_root_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Install PostgreSQL below a folder that only root may enter, as the home folder of root is."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    programs = binaries.directory()
    packages = programs.parents[2]
    for name in (binaries.PACKAGE, f"{binaries.PACKAGE}.libs"):
        shutil.copytree(packages / name, home / name, symlinks=True)
    monkeypatch.setattr(binaries, "directory", lambda: home / programs.relative_to(packages))
    return home


@pytest.fixture
def open_copies(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        copies = Path(folder) / "parley"
        copies.parent.chmod(0o755)
        monkeypatch.setattr(binaries, "OPEN_COPIES", copies)
        yield copies


def test_a_copy_that_everybody_may_enter_is_made_once(installed_for_root_alone: Path, open_copies: Path) -> None:
    for _ in range(2):
        with temporary_server("/tmp/parley-test-programs-", options=QUICK) as server:
            assert ask(server.url, "SELECT 1") == 1
    [copy] = open_copies.iterdir()
    assert copy.name.startswith("postgres-")
    assert (copy.stat().st_uid, copy.stat().st_mode & 0o777) == (0, 0o755)
