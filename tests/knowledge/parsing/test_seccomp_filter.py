"""The seccomp program, run by a small interpreter, for both machines; and its call numbers, against the kernel's."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

import pytest

from knowledge.parsing.isolation import seccomp_filter
from knowledge.parsing.isolation.seccomp_filter import ALLOWED, CONDITIONAL, KILLED, NOT_IMPLEMENTED

ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
COLUMNS = {"x86_64": 0, "aarch64": 1}
HEADERS = {
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "aarch64": Path("/usr/include/asm-generic/unistd.h"),
}
LISTS = {**ALLOWED, **CONDITIONAL, **KILLED, **NOT_IMPLEMENTED}
PID = 4711
ALLOW, KILL, DENY, NONE = "allow", "kill", errno.EPERM, errno.ENOSYS
EVERY_MACHINE = pytest.mark.parametrize("machine", ARCHITECTURES)


def run(machine: str, number: int, *arguments: int, architecture: int | None = None) -> str | int:
    """Return the verdict of the filter on a call."""
    program = seccomp_filter.program(machine, PID)
    data = {0: number, 4: ARCHITECTURES[machine] if architecture is None else architecture}
    for index in range(6):
        value = arguments[index] if index < len(arguments) else 0
        data |= {16 + 8 * index: value & 0xFFFFFFFF, 20 + 8 * index: value >> 32}
    accumulator = at = 0
    while True:
        code, if_true, if_false, value = program[at]
        at += 1
        if code == 0x20:
            accumulator = data[value]
        elif code == 0x06:
            return {0x7FFF0000: ALLOW, 0x80000000: KILL}.get(value) or value & 0xFFFF
        else:
            true = {0x15: accumulator == value, 0x25: accumulator > value, 0x45: bool(accumulator & value)}[code]
            at += if_true if true else if_false


def number(machine: str, name: str) -> int:
    found = LISTS[name][COLUMNS[machine]]
    assert found is not None
    return found


@EVERY_MACHINE
def test_numbers_are_those_of_the_kernel(machine: str) -> None:
    header = HEADERS[machine]
    if not header.exists():
        pytest.skip(f"there is no {header}")
    found = dict(re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", header.read_text()))
    if machine == "aarch64":
        found["newfstatat"] = found["fstatat"]
    for name, numbers in LISTS.items():
        mine = numbers[COLUMNS[machine]]
        assert mine is None or int(found[name]) == mine, name


@EVERY_MACHINE
def test_every_call_has_the_verdict_of_its_list_and_no_other_call_is_allowed(machine: str) -> None:
    column = COLUMNS[machine]
    expected: dict[int | None, str | int] = {
        **{numbers[column]: ALLOW for numbers in ALLOWED.values()},
        **{numbers[column]: KILL for numbers in KILLED.values()},
        **{numbers[column]: NONE for numbers in NOT_IMPLEMENTED.values()},
    }
    conditional = {numbers[column] for numbers in CONDITIONAL.values()}
    for call in range(1024):
        if call not in conditional:
            assert run(machine, call) == expected.get(call, DENY if call <= 451 else NONE), call


@EVERY_MACHINE
@pytest.mark.parametrize(
    ("name", "arguments", "verdict"),
    [
        ("openat", (-100 & 0xFFFFFFFF, 1, os.O_RDONLY | os.O_CLOEXEC), ALLOW),
        ("openat", (0, 1, os.O_WRONLY), DENY),
        ("openat", (0, 1, os.O_RDWR), DENY),
        ("openat", (0, 1, os.O_CREAT), DENY),
        ("openat", (0, 1, os.O_TRUNC), DENY),
        ("openat", (0, 1, os.O_WRONLY | 1 << 40), DENY),
        ("clone", (0x3D0F00,), ALLOW),  # what pthread_create passes
        ("clone", (17,), DENY),  # fork
        ("clone", (0x4111,), DENY),  # vfork
        ("clone", (0x10000 | 0x10000000,), DENY),
        ("tgkill", (PID, 1, 6), ALLOW),
        ("tgkill", (PID + 1, 1, 6), DENY),
        ("prlimit64", (0, 9), ALLOW),
        ("prlimit64", (1, 9), DENY),
        ("fcntl", (0, 1030), ALLOW),
        ("fcntl", (0, 8), DENY),  # F_SETOWN
        ("fcntl", (0, 15), DENY),  # F_SETOWN_EX
        ("ioctl", (0, 0x5401), ALLOW),
        ("ioctl", (0, 0x5412), DENY),  # TIOCSTI
    ],
)
def test_arguments_decide(machine: str, name: str, arguments: tuple[int, ...], verdict: str | int) -> None:
    assert run(machine, number(machine, name), *arguments) == verdict


def test_calls_of_another_architecture_are_killed_and_those_of_x32_do_not_exist() -> None:
    assert run("x86_64", 11, architecture=0x40000003) == KILL
    assert run("x86_64", 0x40000000 | 59) == NONE


@EVERY_MACHINE
def test_program_is_one_that_the_kernel_accepts(machine: str) -> None:
    program = seccomp_filter.program(machine, PID)
    assert len(program) <= 4096
    assert program[-1][0] == 0x06
    assert all(
        max(if_true, if_false) + at + 1 < len(program) for at, (_, if_true, if_false, _) in enumerate(program[:-1])
    )
    assert len({name for one in (ALLOWED, CONDITIONAL, KILLED, NOT_IMPLEMENTED) for name in one}) == len(LISTS)
