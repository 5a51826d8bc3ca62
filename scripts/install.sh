#!/usr/bin/env bash
# Install Parley and what it needs into a virtual environment. Usage: scripts/install.sh ENVIRONMENT [dev]
#
# The lock files come first: exact versions, each checked against its SHA-256. Where they cannot be used (another Python,
# a package index with builds of its own), pip chooses versions from pyproject.toml instead.
set -euo pipefail
cd "$(dirname "$0")/.."
environment="$1"
level="${2:-}"
log="$environment/install.log"
export PIP_DISABLE_PIP_VERSION_CHECK=1

# Bytecode is compiled when a module is imported first. To compile all of it here would take as long as the rest, and most
# of it is never imported.
pip_install() { "$environment/bin/python" -m pip install -q --no-compile --progress-bar on "$@"; }

install_locked() {
  pip_install --no-deps --require-hashes -r requirements.lock ${level:+-r requirements-dev.lock} &&
    # Without a hash, since each build of torch (CPU, CUDA) has its own; see scripts/lock.sh.
    pip_install "$(sed -n 's/^ *"\(torch==[^"]*\)".*/\1/p' pyproject.toml)" &&
    pip_install --no-deps --no-build-isolation -e .
}

if install_locked 2>"$log"; then
  rm "$log"
else
  echo "The lock files do not fit this machine (details: $log); installing from pyproject.toml instead"
  pip_install -e ".${level:+[dev]}"
fi
