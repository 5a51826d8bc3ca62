#!/usr/bin/env bash
# Install the programs that tests/peers runs Parley against, each into an environment of its own, so that their
# dependencies do not meet Parley's. Usage: scripts/peers.sh FOLDER
#
# A program that cannot be installed on this machine is left out, and its tests are skipped. llama-cpp-python is compiled
# and takes about ten minutes.
set -uo pipefail
folder="$1"
python="${PYTHON:-python3}"
mkdir -p "$folder"

environment() { # NAME PACKAGE...
  local name="$1"
  shift
  [ -e "$folder/$name/.installed" ] && return
  echo "Installing $name"
  "$python" -m venv "$folder/$name" && "$folder/$name/bin/python" -m pip install -q "$@" >"$folder/$name.log" 2>&1 &&
    touch "$folder/$name/.installed" || echo "$name cannot be installed here (details: $folder/$name.log); its tests are skipped"
}

environment honcho honcho
environment litellm "litellm[proxy]"
environment transformers "transformers[serving]" torch
environment llama-cpp "llama-cpp-python[server]" gguf

if command -v npm >/dev/null 2>&1; then
  npm install --silent --no-audit --no-fund --prefix "$folder/npm" @dwmkerr/mock-llm ||
    echo "the mock model server cannot be installed here; its tests are skipped"
else
  echo "npm is missing; the tests of the mock model server are skipped"
fi
