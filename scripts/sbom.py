"""Prints a software bill of materials in CycloneDX 1.6: the packages that Parley needs at run time, as installed here.

`make sbom` writes it to sbom.cdx.json. Usage: python -m scripts.sbom
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable

import click
from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL
from packaging.utils import canonicalize_name

from scripts.runtime_packages import PYPROJECT, direct_requirements, runtime_packages


def document() -> str:
    """Return the bill of materials as JSON, with licences, package URLs and who needs whom."""
    project = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]
    packages = runtime_packages()
    components = {name: _component(name, one.version, one.licence) for name, one in packages.items()}
    parley = _component("parley", project["version"], project["license"], ComponentType.APPLICATION)
    bom = Bom(components=components.values())
    bom.metadata.component = parley
    bom.register_dependency(parley, _of(components, {canonicalize_name(one.name) for one in direct_requirements()}))
    for name, one in packages.items():
        bom.register_dependency(components[name], _of(components, one.needs))
    return str(JsonV1Dot6(bom).output_as_string(indent=2))


def _of(components: dict[str, Component], names: Iterable[str]) -> list[Component]:
    return [components[name] for name in sorted(names)]


def _component(name: str, version: str, licence: str, kind: ComponentType = ComponentType.LIBRARY) -> Component:
    address = PackageURL("pypi", name=name, version=version)
    licences = [LicenseFactory().make_from_string(licence)] if licence else []
    return Component(
        name=name, version=version, type=kind, purl=address, bom_ref=f"{name}=={version}", licenses=licences
    )


if __name__ == "__main__":
    click.echo(document())
