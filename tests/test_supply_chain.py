"""The licences and the bill of materials of the packages that Parley needs at run time."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scripts import licences
from scripts.runtime_packages import ALLOWED, Package, direct_requirements, licence_of, runtime_packages

ROOT = Path(__file__).resolve().parents[1]


def fields(expression: str = "", text: str = "", classifier: str = "") -> dict[str, list[str]]:
    return {
        "License-Expression": [expression] if expression else [],
        "License": [text] if text else [],
        "Classifier": [f"License :: OSI Approved :: {classifier}"] if classifier else [],
    }


def test_no_package_has_a_licence_outside_the_allow_list() -> None:
    packages = runtime_packages()
    assert {one.name for one in packages.values() if not one.is_allowed} == set()
    assert {"psycopg", "torch", "certifi", "huggingface-hub"} <= set(packages)
    assert {"pytest", "hypothesis", "mypy"} & set(packages) == set()


@pytest.mark.parametrize(
    ("licence", "allowed"),
    [
        ("MIT", True),
        ("LGPL-3.0-only", True),
        ("MPL-2.0 AND MIT", True),
        ("Apache-2.0 AND Apache-2.0 WITH LLVM-exception", True),
        ("MPL-1.1 OR GPL-2.0-only", True),
        ("GPL-3.0-only", False),
        ("MIT AND AGPL-3.0-only", False),
        ("GPL-2.0-only OR AGPL-3.0-only", False),
        ("LicenseRef-Proprietary", False),
        ("", False),
    ],
)
def test_which_licences_are_allowed(licence: str, allowed: bool) -> None:
    assert Package("one", "1.0", licence, (), ()).is_allowed is allowed


@pytest.mark.parametrize(
    ("stated", "licence"),
    [
        (fields("Apache-2.0 AND MIT", "something else"), "Apache-2.0 AND MIT"),
        (fields(text="BSD-3-Clause"), "BSD-3-Clause"),
        (fields(text="Apache 2.0 License"), "Apache-2.0"),
        (fields(text="The whole text\nof a licence", classifier="MIT License"), "MIT"),
        (fields(text="BSD", classifier="GNU General Public License v3 (GPLv3)"), ""),
        (fields(text="GPL-3.0-only", classifier="MIT License"), "GPL-3.0-only"),
        (fields(), ""),
    ],
)
def test_licences_are_read_from_metadata(stated: dict[str, list[str]], licence: str) -> None:
    assert licence_of(stated) == licence


def test_licences_are_printed_with_their_copyleft_parts(capsys: pytest.CaptureFixture[str]) -> None:
    assert licences.main(["--json"]) == 0
    printed = {one["name"]: one for one in json.loads(capsys.readouterr().out)}
    psycopg = printed["psycopg"]
    assert (psycopg["licence"], psycopg["copyleft_in_licence_files"]) == ("LGPL-3.0-only", ["LGPL"])
    assert all(one["allowed"] for one in printed.values())


def test_a_refused_licence_is_named_and_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    refused = Package("one", "1.0", "GPL-3.0-only", (), ("GPL",))
    monkeypatch.setattr(licences, "runtime_packages", lambda: {"one": refused})
    assert licences.main([]) == 1
    shown = capsys.readouterr()
    assert "GPL-3.0-only  (its licence files hold: GPL)" in shown.out
    assert shown.err.startswith("Not on the allow-list")
    assert shown.err.endswith(": one.\n")


def test_the_bill_of_materials_lists_every_runtime_package() -> None:
    pytest.importorskip("cyclonedx", reason="cyclonedx-python-lib is not installed")
    from scripts import sbom

    document = json.loads(sbom.document())
    packages = runtime_packages()
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.6")
    assert document["metadata"]["component"]["name"] == "parley"
    found = {one["name"]: one for one in document["components"]}
    assert set(found) == set(packages)
    for name, one in packages.items():
        assert found[name]["purl"] == f"pkg:pypi/{name}@{one.version.replace('+', '%2B')}"
        (stated,) = found[name]["licenses"]
        assert stated.get("expression", stated.get("license", {}).get("id")) == one.licence
    graph = {one["ref"]: one.get("dependsOn", []) for one in document["dependencies"]}
    assert set(graph) == {document["metadata"]["component"]["bom-ref"], *(one["bom-ref"] for one in found.values())}
    assert len(graph[document["metadata"]["component"]["bom-ref"]]) == len(direct_requirements())


def test_the_allow_list_holds_no_strong_copyleft() -> None:
    assert [one for one in ALLOWED if one.startswith(("GPL", "AGPL", "LicenseRef"))] == []


def test_the_lock_script_takes_torchs_version_from_the_project() -> None:
    (torch,) = (one for one in direct_requirements() if one.name == "torch")
    script = (ROOT / "scripts" / "lock.sh").read_text()
    assert str(torch.specifier).removeprefix("==") not in script
    assert "pyproject.toml does not name one version of torch" in script
