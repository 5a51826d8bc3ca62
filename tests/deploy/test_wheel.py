"""The wheel holds everything that Parley needs, and answers the sample's first question in an empty environment."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.request
import venv
import zipfile
from collections.abc import Iterator
from email import message_from_bytes
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pytest

from tests.test_package import runtime_distributions

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("bot", "knowledge", "migrations")
NOT_INSTALLED = {"migrations/script.py.mako"}
"""The template of new migrations, which only developers write."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel as ``make dist`` does, from a copy of the files that it is made of."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, source / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "--wheel-dir", target, "."], cwd=source, check=True)
    (built,) = target.glob("parley-*.whl")
    return built


@pytest.fixture(scope="module")
def environment(wheel: Path) -> Iterator[Path]:
    """Return a virtual environment with the wheel and what it requires, which is linked from this environment.

    Nothing else can be imported there, so that a requirement that is not declared is missed.
    """
    with tempfile.TemporaryDirectory() as name:
        # Everybody may enter it, as an installation: PostgreSQL runs as another user if the tests run as root.
        folder = Path(name)
        folder.chmod(0o755)
        _install(wheel, folder)
        yield folder


def _install(wheel: Path, folder: Path) -> None:
    venv.create(folder, symlinks=True)
    pip = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python"), "install", "-q", "--no-deps"]
    subprocess.run([*pip, "--no-index", str(wheel)], check=True)
    (site_packages,) = folder.glob("lib/python*/site-packages")
    for name in runtime_distributions(_requirements(wheel)):
        _link(distribution(name), site_packages)


def _requirements(wheel: Path) -> list[str]:
    """Return what the wheel's metadata requires without extras."""
    with zipfile.ZipFile(wheel) as packed:
        (metadata,) = (name for name in packed.namelist() if name.endswith(".dist-info/METADATA"))
        found = message_from_bytes(packed.read(metadata)).get_all("Requires-Dist", [])
    return [text for text in found if "extra ==" not in text]


def _link(installed: Distribution, site_packages: Path) -> None:
    """Link the top-level files and folders of a distribution into another environment."""
    for name in {file.parts[0] for file in installed.files or ()} - {"..", "__pycache__"}:
        target = site_packages / name
        if not target.exists():
            target.symlink_to(Path(str(installed.locate_file(name))))


def test_the_wheel_has_every_file_of_the_packages(wheel: Path) -> None:
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith(PACKAGES)}
    here = {
        file.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for file in (ROOT / package).rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    assert packed == here - NOT_INSTALLED


def test_what_is_not_required_cannot_be_imported(environment: Path) -> None:
    """Guards the next test, which would otherwise find what only developers install."""
    for module, expected in (("sqlalchemy", 0), ("pytest", 1), ("hypothesis", 1)):
        run = subprocess.run(
            [environment / "bin" / "python", "-c", f"import {module}"], capture_output=True, check=False
        )
        assert run.returncode == expected, (module, run.stderr)


def test_the_sample_is_asked_in_an_empty_environment(environment: Path, tmp_path: Path) -> None:
    parley = environment / "bin" / "parley"
    given = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    where = subprocess.check_output(
        [environment / "bin" / "python", "-c", "import bot; print(bot.__file__)"], cwd=tmp_path, env=given, text=True
    )
    assert Path(where.strip()).is_relative_to(environment)
    with subprocess.Popen(
        [parley, "up", "--sample", "--port", "0"], cwd=tmp_path, env=given, stderr=subprocess.PIPE, text=True
    ) as running:
        try:
            shown = _until_ready(running)
            address = re.search(r"http://127\.0\.0\.1:\d+", shown)
            assert address is not None, shown
            _open_page(address[0])
            question = re.findall(r"(?m)^  - (.+)$", shown)[0]
            asked = subprocess.check_output([parley, "ask", question, "--json"], cwd=tmp_path, env=given, text=True)
        finally:
            running.send_signal(signal.SIGINT)
            running.communicate()
    assert json.loads(asked)["citations"] != []


def _until_ready(running: subprocess.Popen[str]) -> str:
    """Return what the process prints until it welcomes its user, or until it ends."""
    shown = ""
    assert running.stderr is not None
    for line in running.stderr:
        shown += line
        if "Press Ctrl-C" in line:
            break
    return shown


def _open_page(address: str) -> None:
    """Load the page and its first script. Raises HTTPError if one of them is missing."""
    with urllib.request.urlopen(address) as page:
        script = re.search(r'src="(/?static/[^"]+\.js)"', page.read().decode())
    assert script is not None
    urllib.request.urlopen(f"{address}/{script[1].lstrip('/')}").close()
