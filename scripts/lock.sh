#!/usr/bin/env bash
# Write requirements.lock and requirements-dev.lock: exact versions with the SHA-256 of every wheel, for each Python and
# platform that Parley supports. `make lock` runs it. Both files list only packages, never where they came from.
set -euo pipefail
cd "$(dirname "$0")/.."
python="$1"

"$python" -m pip install -q uv
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

# torch stays out of the lock: its builds (CPU, CUDA) have different hashes, and only the CUDA one needs the packages of
# NVIDIA. What every build needs is locked, so that torch itself is the only package that is installed without a hash.
torch="$(sed -n 's/^ *"torch==\([^"]*\)".*/\1/p' pyproject.toml)"
cat >"$work/uv.toml" <<TOML
[[dependency-metadata]]
name = "torch"
version = "${torch:?pyproject.toml does not name one version of torch}"
requires-dist = ["filelock", "fsspec>=0.8.5", "jinja2", "networkx>=2.5.1", "setuptools>=77.0.3", "sympy>=1.13.3", "typing-extensions>=4.10.0"]
TOML

compile() {
  "$python" -m uv pip compile --quiet --config-file "$work/uv.toml" --universal --python-version 3.11 \
    --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-package torch "$@"
}

"$python" - >"$work/dev.in" <<'PYTHON'
import tomllib

with open("pyproject.toml", "rb") as file:
    print("\n".join(tomllib.load(file)["project"]["optional-dependencies"]["dev"]))
PYTHON

compile --upgrade pyproject.toml -o requirements.lock
# The second file adds the tools of the tests; what the first one has is left out.
locked="$(sed -n 's/^\([a-z0-9-]*\)==.*/--no-emit-package \1/p' requirements.lock)"
# shellcheck disable=SC2086
compile --upgrade -c requirements.lock $locked "$work/dev.in" -o requirements-dev.lock
