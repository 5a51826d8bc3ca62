"""The wheel holds everything that Parley needs, and answers the sample's first question in an empty environment."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import urllib.request
import venv
import zipfile
from pathlib import Path

import pytest

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
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a virtual environment with the wheel. What it requires is linked from this environment."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, symlinks=True)
    pip = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python"), "install", "-q", "--no-deps"]
    subprocess.run([*pip, "--no-index", str(wheel)], check=True)
    (site_packages,) = folder.glob("lib/python*/site-packages")
    # Lines of a .pth file are added after the environment's own packages. This tree is not among them.
    (site_packages / "requirements.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder


def test_the_wheel_has_every_file_of_the_packages(wheel: Path) -> None:
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith(PACKAGES)}
    here = {
        file.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for file in (ROOT / package).rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    assert packed == here - NOT_INSTALLED


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
