"""Finds the packages that Parley needs at run time, as they are installed, and their licences."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PYPROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"

PERMISSIVE = frozenset(
    "0BSD Apache-2.0 BSD-2-Clause BSD-3-Clause BSL-1.0 CC0-1.0 CNRI-Python HPND ISC MIT MIT-0 MIT-CMU PostgreSQL "
    "PSF-2.0 Python-2.0 Unlicense Zlib".split()
) | {"Apache-2.0 WITH LLVM-exception"}
WEAK_COPYLEFT = frozenset("LGPL-2.1-only LGPL-2.1-or-later LGPL-3.0-only LGPL-3.0-or-later MPL-1.1 MPL-2.0".split())
"""Licences that bind changes to the package itself, but not the program that uses it."""
ALLOWED = PERMISSIVE | WEAK_COPYLEFT

_CLASSIFIERS = {
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD-3-Clause",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
}
_OTHER_SPELLINGS = {
    "Apache 2.0": "Apache-2.0",
    "Apache 2.0 License": "Apache-2.0",
    "Apache2.0": "Apache-2.0",
    "BSD-3-Clause, Apache-2.0, dependency licenses": "BSD-3-Clause AND Apache-2.0",
    "MIT, BSD": "MIT AND BSD-3-Clause",
    "The BSD 2-Clause License": "BSD-2-Clause",
}
"""What the metadata of packages calls a licence that SPDX names differently."""
_COPYLEFT_TITLE = re.compile(
    r"GNU (?:(?P<kind>LESSER|LIBRARY|AFFERO) )?GENERAL PUBLIC LICENSE|(?P<mozilla>(?i:mozilla public license))"
)
"""The titles of licences. The texts of other licences mention the GPL too, but not in capitals."""
_SHORT = {"LESSER": "LGPL", "LIBRARY": "LGPL", "AFFERO": "AGPL", "": "GPL"}


@dataclass(frozen=True, slots=True)
class Package:
    """An installed package. ``licence`` is an SPDX expression, or empty if the metadata names none that is known.

    ``needs`` are the names of the packages that it needs here. ``copyleft`` are the licences of the GPL and MPL
    families whose texts are in its licence files, such as that of a library that its wheel brings along.
    """

    name: str
    version: str
    licence: str
    needs: tuple[str, ...]
    copyleft: tuple[str, ...]

    @property
    def is_allowed(self) -> bool:
        """Whether the package may be used under licences that are all on the allow-list."""
        choices = self.licence.split(" OR ")
        return any(all(part in ALLOWED for part in choice.split(" AND ")) for choice in choices)


def runtime_packages() -> dict[str, Package]:
    """Return the packages that an installation without extras contains here, by canonical name.

    Raises PackageNotFoundError if one is not installed.
    """
    needs = needed_by(direct_requirements())
    return {name: _package(name, tuple(sorted(needs[name]))) for name in sorted(needs)}


def direct_requirements() -> list[Requirement]:
    """Return what ``pyproject.toml`` requires at run time."""
    project = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]
    return list(map(Requirement, project["dependencies"]))


def needed_by(requirements: Iterable[Requirement]) -> dict[str, set[str]]:
    """Return every package that the requirements lead to here, by canonical name, and the packages that it needs.

    Raises PackageNotFoundError if one is not installed.
    """
    needs: dict[str, set[str]] = {}
    seen: set[tuple[str, str]] = set()
    left = [one for one in requirements if _applies(one)]
    while left:
        wanted = left.pop()
        name = canonicalize_name(wanted.name)
        for extra in {"", *wanted.extras}:
            if (name, extra) in seen:
                continue
            seen.add((name, extra))
            more = [one for one in map(Requirement, metadata.requires(name) or ()) if _applies(one, extra)]
            needs.setdefault(name, set()).update(canonicalize_name(one.name) for one in more)
            left += more
    return needs


def _applies(requirement: Requirement, extra: str = "") -> bool:
    return requirement.marker is None or requirement.marker.evaluate({"extra": extra})


def _package(name: str, needs: tuple[str, ...]) -> Package:
    found = metadata.distribution(name)
    return Package(name, found.version, licence_of(_fields(found)), needs, tuple(sorted(_copyleft(found))))


def _fields(found: metadata.Distribution) -> Mapping[str, list[str]]:
    names = ("License-Expression", "License", "Classifier")
    return {name: [str(value) for value in found.metadata.get_all(name) or ()] for name in names}


def licence_of(fields: Mapping[str, list[str]]) -> str:
    """Return the SPDX expression of a package's metadata, or an empty text."""
    for stated in (*fields["License-Expression"], *fields["License"]):
        expression = _OTHER_SPELLINGS.get(stated.strip(), stated.strip())
        if re.fullmatch(r"[\w.+-]+(?: (?:AND|OR|WITH) [\w.+-]+)*", expression) and _is_known(expression):
            return expression
    classified = [one.rpartition(" :: ")[2] for one in fields["Classifier"] if one.startswith("License ::")]
    return " AND ".join(dict.fromkeys(_CLASSIFIERS[one] for one in classified if one in _CLASSIFIERS))


def _is_known(expression: str) -> bool:
    """Return whether the expression names licences by their SPDX names, allowed or not."""
    from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

    try:
        return canonicalize_license_expression(expression) == expression
    except InvalidLicenseExpression:
        return False


def _copyleft(found: metadata.Distribution) -> set[str]:
    names: set[str] = set()
    for file in found.files or ():
        if not re.search(r"licen[cs]e|copying|notice", file.name, re.IGNORECASE) or ".dist-info" not in str(file):
            continue
        text = Path(str(file.locate())).read_text(encoding="utf-8", errors="replace")
        for match in _COPYLEFT_TITLE.finditer(text):
            names.add("MPL" if match["mozilla"] else _SHORT[(match["kind"] or "").upper()])
    return names
