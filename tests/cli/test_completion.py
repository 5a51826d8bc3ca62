"""The completion script of a shell completes the commands and options of ``parley``."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Parley

ROOT = Path(__file__).resolve().parents[2]


def run(words: list[str], folder: Path, **environment: str) -> str:
    """Run a program with ``parley`` of this tree on its path. Return its output."""
    program = folder / "bin" / "parley"
    program.parent.mkdir(exist_ok=True)
    program.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m bot "$@"\n')
    program.chmod(0o755)
    path = f"{program.parent}:{os.environ['PATH']}"
    ran = subprocess.run(
        words, cwd=folder, env={"PATH": path, **environment}, capture_output=True, text=True, check=True
    )
    return ran.stdout


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_completes_commands_and_options(tmp_path: Path) -> None:
    script = """
        eval "$(parley completion bash)"
        complete_words() {
            COMPREPLY=() COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
            _parley_completion parley
            echo "${COMPREPLY[@]}"
        }
        complete_words parley do
        complete_words parley docs list --so
        complete_words parley costs --by us
    """
    assert run(["bash", "-c", script], tmp_path).split("\n")[:3] == ["docs doctor", "--sort", "user"]


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_get_the_same_completions(shell: str, tmp_path: Path) -> None:
    line = {"COMP_WORDS": "parley do", "COMP_CWORD": "do" if shell == "fish" else "1"}
    asked = run(["parley"], tmp_path, _PARLEY_COMPLETE=f"{shell}_complete", **line)
    assert "docs" in asked
    assert "doctor" in asked
    assert "costs" not in asked
    assert f"_PARLEY_COMPLETE={shell}_complete" in run(["parley", "completion", shell], tmp_path)


def test_another_shell_is_wrong_use(parley: Parley) -> None:
    made = parley("completion", "csh")
    assert (made.status, made.out) == (2, "")
    assert "bash" in made.err
