"""The image is built and asked a question, where Docker runs."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from knowledge import sample

ROOT = Path(__file__).resolve().parents[2]
LARGEST = 1.5 * 2**30
"""Bytes that the image may take."""
START_SECONDS = 300


def docker(*words: str, seconds: float = 120) -> str:
    """Run a command of Docker and return what it prints. Raises CalledProcessError."""
    ran = subprocess.run(["docker", *words], capture_output=True, text=True, check=True, timeout=seconds, cwd=ROOT)
    return ran.stdout.strip()


def docker_runs() -> bool:
    if shutil.which("docker") is None:
        return False
    return subprocess.run(["docker", "info"], capture_output=True, check=False, timeout=60).returncode == 0


pytestmark = [
    pytest.mark.skipif(not docker_runs(), reason="no Docker that builds images"),
    pytest.mark.timeout(3600),
]


@pytest.fixture(scope="module")
def image() -> Iterator[str]:
    """Build the image as a newcomer does, without arguments."""
    name = f"parley-test-{uuid.uuid4().hex[:8]}"
    docker("build", "-t", name, ".", seconds=3000)
    yield name
    docker("image", "rm", "-f", name)


@pytest.fixture
def container(image: str) -> Iterator[str]:
    """Run the image with the sample documents and its own database, as an ordinary user on a read-only system."""
    options = ("--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "-e", "PARLEY_WEB_TOKEN=a-token-of-the-tests")
    name = docker("run", "-d", *options, image, "parley", "up", "--sample")
    yield name
    docker("rm", "-f", "-v", name)


def test_the_image_is_small_and_has_torch_for_the_processor(image: str) -> None:
    assert int(docker("image", "inspect", "--format", "{{.Size}}", image)) < LARGEST
    assert docker("run", "--rm", image, "python", "-c", "import torch; print(torch.version.cuda)") == "None"


def test_the_container_answers_with_a_citation(container: str) -> None:
    until = time.monotonic() + START_SECONDS
    while docker("inspect", "--format", "{{.State.Health.Status}}", container) != "healthy":
        assert time.monotonic() < until, docker("logs", container)
        time.sleep(1)
    asked = docker("exec", container, "parley", "ask", sample.questions()[0], "--json")
    assert json.loads(asked)["citations"] != []
