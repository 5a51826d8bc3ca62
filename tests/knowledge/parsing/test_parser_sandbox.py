"""Hostile code in the real worker process reaches nothing, and each layer stops its attacks without the others.

Every attack also runs without any layer, to show that it works and that the layer is what stops it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Collection
from pathlib import Path

import psycopg
import pytest
from sqlalchemy.engine import make_url

from knowledge.errors import ParseError
from knowledge.parsing.isolation import sandbox
from knowledge.parsing.isolation.process_isolation import CAPABILITIES, LANDLOCK, LIMITS, SECCOMP
from tests.knowledge.parsing.hostile_parser import (
    ATTACKS,
    CANARY,
    DUMPABLE,
    EVERYTHING,
    HERE,
    HIDDEN,
    Attack,
    HostileParser,
    World,
    needs_both,
)
from tests.knowledge.parsing.hostile_worker import DONE


def skip_without(attack: Attack, layers: Collection[str]) -> None:
    """Skip the test if the kernel lacks a layer."""
    if sys.platform != "linux":
        pytest.skip("this system is not Linux")
    if LANDLOCK in layers and attack.landlock_abi > HERE.landlock:
        pytest.skip(f"the kernel has Landlock ABI {HERE.landlock}, and this needs {attack.landlock_abi}")
    if SECCOMP in layers and not HERE.seccomp:
        pytest.skip("the kernel has no seccomp filters")


async def attack_with(layers: Collection[str], attack: Attack, world: World, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run the attack with some layers only. Return its loot, or the error with ``!`` before it."""
    monkeypatch.setattr(sandbox, "hide_memory_and_environment", lambda: set_dumpable(HIDDEN not in layers))
    parser = HostileParser(layers)
    try:
        return await parser.attack(attack.name, **attack.arguments(world))
    except ParseError as error:
        return f"!{error}"
    finally:
        await parser.aclose()
        set_dumpable(True)


def set_dumpable(allowed: bool) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(DUMPABLE, int(allowed), 0, 0, 0)


@pytest.mark.parametrize("name", ATTACKS)
async def test_attack_fails_in_the_whole_sandbox(name: str, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    attack = ATTACKS[name]
    skip_without(attack, attack.stopped_by)
    loot = await attack_with(EVERYTHING, attack, world, monkeypatch)
    assert loot.startswith("!"), loot
    assert CANARY not in loot
    assert world.traces() == set()


@pytest.mark.parametrize(
    ("name", "layer"), [(name, layer) for name, one in ATTACKS.items() for layer in one.stopped_by]
)
async def test_attack_fails_with_one_layer_alone(
    name: str, layer: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    attack = ATTACKS[name]
    skip_without(attack, [layer])
    layers = {layer, CAPABILITIES} if layer == HIDDEN else {layer}  # root with its powers reads everything
    loot = await attack_with(layers, attack, world, monkeypatch)
    assert loot.startswith("!"), loot
    assert world.traces() <= ({"made"} if layer == LIMITS else set())


@pytest.mark.parametrize("name", ATTACKS)
async def test_attack_works_without_the_layers_that_stop_it(
    name: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other layers stay on, so that each attack shows what exactly is needed against it."""
    attack = ATTACKS[name]
    skip_without(attack, ())
    if not attack.works():
        pytest.skip("this system refuses it to everybody")
    others = EVERYTHING - {*attack.stopped_by, CAPABILITIES, LIMITS}
    loot = await attack_with(others, attack, world, monkeypatch)
    if attack.loot:
        assert attack.loot in loot, loot
    if attack.trace:
        assert attack.trace in world.traces()


@needs_both
async def test_socket_of_the_database_is_out_of_reach(hostile: HostileParser, postgres: str) -> None:
    """The same address works without the sandbox."""
    url = make_url(postgres)
    folder = Path(str(url.query.get("host") or url.host))
    path = str(next(folder.glob(".s.PGSQL.*[0-9]")))
    with pytest.raises(ParseError, match="PermissionError"):
        await hostile.attack("connect_unix", path=path)
    free = HostileParser(())
    assert DONE in await free.attack("connect_unix", path=path)
    await free.aclose()
    with psycopg.connect(postgres) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


@needs_both
@pytest.mark.parametrize("late", [0.0, 0.3], ids=["at once", "late"])
async def test_forbidden_call_ends_the_process_and_is_logged(
    hostile: HostileParser,
    world: World,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    late: float,
) -> None:
    waitpid = os.waitpid

    def notice_the_exit(pid: int, options: int) -> tuple[int, int]:
        if threading.current_thread().name.startswith("asyncio-waitpid"):
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
            time.sleep(late)
        return waitpid(pid, options)

    monkeypatch.setattr(os, "waitpid", notice_the_exit)
    await hostile.isolation()
    process = hostile._process
    assert process is not None
    with pytest.raises(ParseError, match="Do not trust this file"):
        await hostile.attack("trace", pid=world.victim.pid)
    assert process.returncode == -signal.SIGSYS
    assert "attack.txt" in caplog.text
    assert "0 1 2 3" in await hostile.attack("use_threads"), "the next file has a new process"
