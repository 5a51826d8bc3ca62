"""The package imports with only its runtime dependencies installed, and the lock files cover what it declares."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from scripts.runtime_packages import needed_by

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PACKAGES = ("bot", "knowledge", "migrations")
OF_EXTRAS = {"bot.telemetry.open_telemetry": "otel"}
"""Modules that are imported only if their extra is installed and switched on, each with the extra's name."""
SKIPPED = ("bot.__main__", "migrations.env")
"""Modules that run something when they are imported: the command line, and Alembic's script."""

IMPORT_EVERYTHING = """
import importlib, json, pkgutil, sys

packages, skipped, refused = json.load(sys.stdin)


class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in refused:
            raise ModuleNotFoundError(f"{name} belongs to no runtime dependency", name=name)


sys.meta_path.insert(0, Refuse())
failed, imported = {}, []


def visit(name):
    try:
        module = importlib.import_module(name)
    except ImportError as error:
        failed[name] = str(error)
        return
    imported.append(name)
    for found in pkgutil.iter_modules(getattr(module, "__path__", []), name + "."):
        if found.name not in skipped:
            visit(found.name)


for package in packages:
    visit(package)
print(json.dumps([failed, imported]))
"""
"""Imports every module of the packages named on stdin; refuses the top-level modules listed there."""


def runtime_distributions(requirements: list[str]) -> set[str]:
    """Return the canonical names of the distributions that an installation without extras contains."""
    return set(needed_by(map(Requirement, requirements)))


def refused_modules(allowed: set[str]) -> set[str]:
    """Return the installed top-level modules that belong to none of the ``allowed`` distributions."""
    return {
        module
        for module, owners in packages_distributions().items()
        if module not in {*PACKAGES, "tests", "benchmarks"} and not allowed & set(map(canonicalize_name, owners))
    }


def import_everything(refused: set[str]) -> tuple[dict[str, str], list[str]]:
    """Import every module of the package in a new process; return the errors by module, and the imported ones."""
    run = subprocess.run(
        [sys.executable, "-c", IMPORT_EVERYTHING],
        input=json.dumps([PACKAGES, SKIPPED, sorted(refused)]),
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    failed, imported = json.loads(run.stdout.splitlines()[-1])
    return failed, imported


def modules() -> set[str]:
    """Return the name of every module in the package's folders."""
    files = [file.relative_to(ROOT) for package in PACKAGES for file in (ROOT / package).rglob("*.py")]
    return {".".join(file.with_suffix("").parts).removesuffix(".__init__") for file in files}


def test_every_module_imports_without_the_development_extra() -> None:
    failed, imported = import_everything(refused_modules(runtime_distributions(PROJECT["dependencies"])))
    assert set(failed) == set(OF_EXTRAS)
    assert set(imported) == modules() - set(SKIPPED) - set(OF_EXTRAS)


def test_the_modules_of_extras_import_with_their_extra() -> None:
    extras = [text for extra in OF_EXTRAS.values() for text in PROJECT["optional-dependencies"][extra]]
    failed, _ = import_everything(refused_modules(runtime_distributions([*PROJECT["dependencies"], *extras])))
    assert failed == {}


def test_an_undeclared_dependency_is_found() -> None:
    """Guards the test above: it fails when a module imports a package that is not declared."""
    declared = [text for text in PROJECT["dependencies"] if Requirement(text).name != "cryptography"]
    allowed = runtime_distributions(declared) - {"cryptography"}
    failed, _ = import_everything(refused_modules(allowed))
    assert "bot.store.privacy.encryption" in failed


def test_the_development_tools_are_not_imported_by_the_package() -> None:
    extras = PROJECT["optional-dependencies"]
    tools = {canonicalize_name(Requirement(text).name) for text in extras["dev"]}
    tools -= runtime_distributions(PROJECT["dependencies"])
    tools -= {
        canonicalize_name(Requirement(text).name) for name, one in extras.items() for text in one if name != "dev"
    }
    modules = {
        module for module, owners in packages_distributions().items() if tools & set(map(canonicalize_name, owners))
    }
    pattern = re.compile(
        r"^\s*(?:import|from)\s+(?:" + "|".join(map(re.escape, sorted(modules))) + r")\b", re.MULTILINE
    )
    found = [
        str(file.relative_to(ROOT))
        for name in PACKAGES
        for file in (ROOT / name).rglob("*.py")
        if pattern.search(file.read_text())
    ]
    assert {"pytest", "hypothesis"} <= modules
    assert found == []


PIN = re.compile(r"^([a-z0-9-]+)==(\S+)(?: ; (.+?))? \\$", re.MULTILINE)


def pins(file: str) -> dict[str, list[str]]:
    """Return the locked versions of each package; there are several where Python versions need different ones."""
    found: dict[str, list[str]] = {}
    for name, version, _ in PIN.findall((ROOT / file).read_text()):
        found.setdefault(name, []).append(version)
    return found


@pytest.mark.parametrize("file", ["requirements.lock", "requirements-dev.lock"])
def test_a_lock_file_lists_only_packages_and_hashes(file: str) -> None:
    lines = (ROOT / file).read_text().splitlines()
    odd = [
        line for line in lines if not (PIN.match(line) or re.fullmatch(r"    --hash=sha256:[0-9a-f]{64}(?: \\)?", line))
    ]
    assert odd == []


def test_the_lock_files_have_an_allowed_version_of_every_requirement() -> None:
    """Fails when pyproject.toml changed and the locks did not: run ``make lock``."""
    locked = {**pins("requirements.lock"), **pins("requirements-dev.lock")}
    wrong = []
    for text in [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["dev"]]:
        requirement = Requirement(text)
        versions = locked.get(canonicalize_name(requirement.name), [])
        if requirement.name != "torch" and not (versions and all(map(requirement.specifier.contains, versions))):
            wrong.append(f"{text}: {versions}")
    assert wrong == []
    assert "torch" not in locked
