"""Prints the licences of the packages that Parley needs at run time. `make licences` runs it.

Exits with status 1 if a licence is not on the allow-list. Usage: python -m scripts.licences [--json]
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

import click

from scripts.runtime_packages import Package, runtime_packages


def main(arguments: Sequence[str]) -> int:
    """Print the packages as a table or as JSON; return the exit status."""
    packages = list(runtime_packages().values())
    refused = [one.name for one in packages if not one.is_allowed]
    if "--json" in arguments:
        click.echo(json.dumps([_document(one) for one in packages], indent=2))
    else:
        for one in packages:
            files = f"  (its licence files hold: {', '.join(one.copyleft)})" if one.copyleft else ""
            click.echo(f"{one.name:26} {one.version:18} {one.licence or 'unknown'}{files}")
        click.echo(f"{len(packages)} packages, {len(refused)} with a licence that is not on the allow-list")
    if refused:
        click.echo(f"Not on the allow-list of scripts/runtime_packages.py: {', '.join(refused)}.", err=True)
    return 1 if refused else 0


def _document(one: Package) -> dict[str, object]:
    return {
        "name": one.name,
        "version": one.version,
        "licence": one.licence or None,
        "copyleft_in_licence_files": list(one.copyleft),
        "allowed": one.is_allowed,
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
