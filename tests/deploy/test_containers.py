"""The container files fit together, and fit Parley: settings, ports, users, probes, times and files."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from packaging.specifiers import SpecifierSet

from bot.cli import cli
from bot.config import Settings, environment_name
from bot.platforms.web.request_guard import PROBES

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = {environment_name(field) for field in Settings.model_fields}
DOCKERFILE = re.sub(r"\\\n\s*", " ", re.sub(r"(?m)^#.*\n", "", (ROOT / "Dockerfile").read_text()))
INSTRUCTIONS = [(name, rest) for name, _, rest in (line.partition(" ") for line in DOCKERFILE.splitlines()) if name]
FINAL_STAGE = INSTRUCTIONS[max(at for at, (name, _) in enumerate(INSTRUCTIONS) if name == "FROM") :]
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
MANIFESTS = list(yaml.safe_load_all((ROOT / "deploy/kubernetes/parley.yaml").read_text()))


def instruction(name: str) -> str:
    """Return the text of the only such instruction in the final stage."""
    (found,) = [rest for one, rest in FINAL_STAGE if one == name]
    return found


def image_environment() -> dict[str, str]:
    return dict(pair.split("=", 1) for pair in shlex.split(instruction("ENV")))


def manifests(kind: str) -> list[dict[str, Any]]:
    return [one for one in MANIFESTS if one["kind"] == kind]


def pods() -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Yield the specification of each deployment's pods, and that of their only container."""
    for deployment in manifests("Deployment"):
        pod = deployment["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        yield pod, container


def is_command(words: list[str]) -> bool:
    """Return whether the command line accepts these words; the options of the command are parsed as well."""
    name, _, rest = words[1], words[0], words[2:]
    command = cli.get_command(click.Context(cli), name)
    assert command is not None, name
    command.make_context(name, rest)
    return words[0] == "parley"


def test_the_image_runs_parley_as_an_ordinary_user() -> None:
    assert instruction("USER").isdecimal()
    assert int(instruction("USER")) >= 10_000
    assert is_command(yaml.safe_load(instruction("CMD")))
    assert "HEALTHCHECK" in dict(FINAL_STAGE)
    probed = re.search(rf"127\.0\.0\.1:{instruction('EXPOSE')}(/\w+)", instruction("HEALTHCHECK"))
    assert probed is not None
    assert probed[1] in PROBES


def test_the_image_has_settings_that_exist_and_keeps_its_data_in_the_volume() -> None:
    environment = image_environment()
    assert {name for name in environment if name.startswith("PARLEY_")} <= SETTINGS
    volume = instruction("VOLUME")
    assert environment["PARLEY_DATA_DIR"].startswith(f"{volume}/")
    assert f"--home-dir {volume} " in instruction("RUN")


def test_the_image_has_a_python_that_parley_supports() -> None:
    bases = {rest.split()[0] for name, rest in INSTRUCTIONS if name == "FROM"}
    (version,) = {re.fullmatch(r"python:(\d+\.\d+)-slim-\w+", base)[1] for base in bases}  # type: ignore[index]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert version in SpecifierSet(project["requires-python"])
    assert set(re.findall(r"/lib/python(\d+\.\d+)/", DOCKERFILE)) == {version}


def test_everything_that_is_copied_exists_and_is_sent_to_the_build() -> None:
    sources = [
        word for name, rest in INSTRUCTIONS if name == "COPY" and "--from" not in rest for word in rest.split()[:-1]
    ]
    sent = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    assert sorted(sources) == sorted(sent)
    assert [source for source in sources if not (ROOT / source).exists()] == []
    assert [secret for secret in (".env", ".git", ".parley") if any(fnmatch(secret, one) for one in sent)] == []


def test_compose_waits_for_its_database_and_keeps_the_page_on_this_machine() -> None:
    parley, database = COMPOSE["services"]["parley"], COMPOSE["services"]["db"]
    assert parley["depends_on"]["db"]["condition"] == "service_healthy"
    assert "pg_isready" in database["healthcheck"]["test"]
    assert parley["ports"] == [f"127.0.0.1:{instruction('EXPOSE')}:{instruction('EXPOSE')}"]
    assert set(parley["environment"]) <= SETTINGS
    assert f"data:{instruction('VOLUME')}" in parley["volumes"]
    mounted = [volume.split(":")[0] for service in (parley, database) for volume in service["volumes"]]
    assert [name for name in mounted if not (name in COMPOSE["volumes"] or (ROOT / name).is_file())] == []
    assert float(parley["stop_grace_period"].removesuffix("s")) > Settings.model_fields["shutdown_seconds"].default


def test_every_variable_of_compose_is_explained_or_has_a_default() -> None:
    text = (ROOT / "compose.yaml").read_text()
    needed = {name for name, rest in re.findall(r"\$\{(\w+)([^}]*)\}", text) if not rest.startswith(":-")}
    explained = set(re.findall(r"(?m)^#   (\w+)=", text))
    assert needed <= explained
    arguments = {rest.split("=")[0] for name, rest in INSTRUCTIONS if name == "ARG"}
    assert set(COMPOSE["services"]["parley"]["build"]["args"]) <= arguments


def test_a_build_without_arguments_has_torch_for_the_processor() -> None:
    defaults = dict(rest.split("=", 1) for name, rest in INSTRUCTIONS if name == "ARG")
    (backend,) = re.findall(r"--torch-backend \"\$(\w+)\"", DOCKERFILE)
    assert defaults[backend] == "cpu"
    assert COMPOSE["services"]["parley"]["build"]["args"] == {backend: f"${{{backend}:-cpu}}"}


def test_kubernetes_names_settings_that_exist() -> None:
    (secret,), (config,) = manifests("Secret"), manifests("ConfigMap")
    assert {*secret["stringData"], *config["data"]} <= SETTINGS
    secrets = {
        environment_name(name) for name, field in Settings.model_fields.items() if "Secret" in str(field.annotation)
    }
    assert set(config["data"]) & secrets == set()
    assert all(isinstance(value, str) for value in {**secret["stringData"], **config["data"]}.values())


def test_kubernetes_runs_commands_and_probes_that_exist() -> None:
    grace = float(manifests("ConfigMap")[0]["data"]["PARLEY_SHUTDOWN_SECONDS"])
    names = {one["metadata"]["name"] for kind in ("Secret", "ConfigMap") for one in manifests(kind)}
    for pod, container in pods():
        assert is_command(container["args"])
        assert pod["terminationGracePeriodSeconds"] > grace
        assert pod["securityContext"]["runAsUser"] == int(instruction("USER"))
        assert container["securityContext"]["readOnlyRootFilesystem"]
        assert {reference["name"] for source in container["envFrom"] for reference in source.values()} == names
        mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
        assert set(mounts) == {volume["name"] for volume in pod["volumes"]}
        assert {instruction("VOLUME"), "/tmp"} == set(mounts.values())
        ports = {port["name"]: port["containerPort"] for port in container.get("ports", [])}
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            if probe in container:
                assert container[probe]["httpGet"]["path"] in PROBES
                assert container[probe]["httpGet"]["port"] in ports


def test_the_service_of_kubernetes_finds_the_page() -> None:
    (service,) = manifests("Service")
    found = [
        one
        for one in manifests("Deployment")
        if one["spec"]["template"]["metadata"]["labels"] == service["spec"]["selector"]
    ]
    (page,) = found
    ports = {port["name"] for port in page["spec"]["template"]["spec"]["containers"][0]["ports"]}
    assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports
    for deployment in manifests("Deployment"):
        assert deployment["spec"]["selector"]["matchLabels"] == deployment["spec"]["template"]["metadata"]["labels"]


@pytest.mark.parametrize("words", [["parley", "up", "--no-such-option"], ["sh", "up"]])
def test_a_wrong_command_is_found(words: list[str]) -> None:
    """Guards the tests above."""
    try:
        assert not is_command(words)
    except click.UsageError:
        assert words[-1] == "--no-such-option"
