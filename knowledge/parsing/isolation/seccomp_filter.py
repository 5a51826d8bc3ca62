"""Seccomp filter that limits a process to the system calls that parsing a file needs (Linux, x86_64 and aarch64).

The filter is an allow-list. What is not on it fails with EPERM, above all every socket call. What only an attack uses
ends the process. The layout of programs and the constants are in ``linux/seccomp.h`` and ``linux/bpf_common.h``.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

ALLOWED = MappingProxyType[str, tuple[int | None, int | None]](
    {
        # Read files that are open, write to the pipe of the responses, look at paths. Opening is in CONDITIONAL.
        "read": (0, 63),
        "readv": (19, 65),
        "pread64": (17, 67),
        "write": (1, 64),
        "writev": (20, 66),
        "close": (3, 57),
        "close_range": (436, 436),
        "lseek": (8, 62),
        "fadvise64": (221, 223),
        "getdents64": (217, 61),
        "dup": (32, 23),
        "dup2": (33, None),
        "dup3": (292, 24),
        "poll": (7, None),
        "ppoll": (271, 73),
        "select": (23, None),
        "pselect6": (270, 72),
        "stat": (4, None),
        "lstat": (6, None),
        "fstat": (5, 80),
        "newfstatat": (262, 79),
        "statx": (332, 291),
        "statfs": (137, 43),
        "fstatfs": (138, 44),
        "access": (21, None),
        "faccessat": (269, 48),
        "faccessat2": (439, 439),
        "readlink": (89, None),
        "readlinkat": (267, 78),
        "getcwd": (79, 17),
        # Memory
        "mmap": (9, 222),
        "munmap": (11, 215),
        "mprotect": (10, 226),
        "mremap": (25, 216),
        "madvise": (28, 233),
        "brk": (12, 214),
        "membarrier": (324, 283),
        # Threads. Starting one is in CONDITIONAL.
        "futex": (202, 98),
        "set_tid_address": (218, 96),
        "set_robust_list": (273, 99),
        "get_robust_list": (274, 100),
        "rseq": (334, 293),
        "sched_yield": (24, 124),
        "sched_getaffinity": (204, 123),
        "exit": (60, 93),
        "exit_group": (231, 94),
        # Handle signals
        "rt_sigaction": (13, 134),
        "rt_sigprocmask": (14, 135),
        "rt_sigreturn": (15, 139),
        "sigaltstack": (131, 132),
        "restart_syscall": (219, 128),
        # Time, random numbers and facts about the process and the machine
        "clock_gettime": (228, 113),
        "clock_getres": (229, 114),
        "clock_nanosleep": (230, 115),
        "nanosleep": (35, 101),
        "gettimeofday": (96, 169),
        "time": (201, None),
        "times": (100, 153),
        "getrandom": (318, 278),
        "uname": (63, 160),
        "sysinfo": (99, 179),
        "getrusage": (98, 165),
        "getrlimit": (97, 163),
        "getpid": (39, 172),
        "getppid": (110, 173),
        "gettid": (186, 178),
        "getuid": (102, 174),
        "geteuid": (107, 175),
        "getgid": (104, 176),
        "getegid": (108, 177),
    }
)
"""Calls that are always allowed, with their numbers on x86_64 and on aarch64; None where there is no such call."""
CONDITIONAL = MappingProxyType[str, tuple[int | None, int | None]](
    {
        "open": (2, None),
        "openat": (257, 56),
        "clone": (56, 220),
        "tgkill": (234, 131),
        "prlimit64": (302, 261),
        "fcntl": (72, 25),
        "ioctl": (16, 29),
    }
)
"""Calls that ``_condition`` allows for some arguments only."""
NOT_IMPLEMENTED = MappingProxyType[str, tuple[int | None, int | None]]({"clone3": (435, 435), "openat2": (437, 437)})
"""Calls whose arguments are behind a pointer, where a filter cannot look. They fail with ENOSYS: the C library then
uses ``clone`` and ``openat``."""
KILLED = MappingProxyType[str, tuple[int | None, int | None]](
    {
        "execve": (59, 221),
        "execveat": (322, 281),
        "ptrace": (101, 117),
        "process_vm_readv": (310, 270),
        "process_vm_writev": (311, 271),
        "pidfd_open": (434, 434),
        "pidfd_getfd": (438, 438),
        "pidfd_send_signal": (424, 424),
        "unshare": (272, 97),
        "setns": (308, 268),
        "mount": (165, 40),
        "umount2": (166, 39),
        "move_mount": (429, 429),
        "open_tree": (428, 428),
        "fsopen": (430, 430),
        "pivot_root": (155, 41),
        "chroot": (161, 51),
        "bpf": (321, 280),
        "perf_event_open": (298, 241),
        "userfaultfd": (323, 282),
        "io_uring_setup": (425, 425),
        "io_uring_enter": (426, 426),
        "io_uring_register": (427, 427),
        "keyctl": (250, 219),
        "add_key": (248, 217),
        "request_key": (249, 218),
        "open_by_handle_at": (304, 265),
        "init_module": (175, 105),
        "finit_module": (313, 273),
        "kexec_load": (246, 104),
        "kexec_file_load": (320, 294),
    }
)
"""Calls that no parser makes, not even by accident: the process is ended at once."""

_NEWEST_KNOWN = 451
"""The highest call number when the lists were written. Newer calls, and those of the x32 ABI, fail with ENOSYS, so that
a C library that tries a newer call first uses the older one."""
_MACHINES = {"x86_64": (0, 0xC000003E, 317), "aarch64": (1, 0xC00000B7, 277)}
"""Column in the lists, ``AUDIT_ARCH_*``, and the number of ``seccomp`` itself."""

_KILL_PROCESS = 0x80000000
_ERRNO = 0x00050000
_ALLOW = 0x7FFF0000
_DENY = _ERRNO | errno.EPERM
_LOAD = 0x20  # BPF_LD | BPF_W | BPF_ABS
_RETURN = 0x06  # BPF_RET | BPF_K
_IF_EQUAL = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
_IF_GREATER = 0x25  # BPF_JMP | BPF_JGT | BPF_K
_IF_ANY_BIT = 0x45  # BPF_JMP | BPF_JSET | BPF_K

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_CLONE_THREAD = 0x00010000
_CLONE_NEW_NAMESPACE = 0x7E020000
_FCNTL = (0, 1, 2, 3, 4, 1030)
"""Duplicate, get and set flags. Not F_SETOWN, which lets a process send signals."""
_IOCTL = (0x5401, 0x5450, 0x5451)
"""TCGETS (``isatty``), FIONCLEX and FIOCLEX."""

_SET_MODE_FILTER = 1
_ALL_THREADS = 1

_Program = list[tuple[int, int, int, int]]


class _FilterProgram(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p))


def apply() -> None:
    """Limit this process, all its threads and what they start, for ever. Needs ``no_new_privs``.

    Raises OSError where the kernel or the machine has no seccomp filters.
    """
    machine = platform.machine()
    if sys.platform != "linux" or machine not in _MACHINES or sys.maxsize < 2**32:
        raise OSError(errno.ENOSYS, "no seccomp filter for this platform")
    instructions = b"".join(struct.pack("=HBBI", *one) for one in program(machine, os.getpid()))
    buffer = ctypes.create_string_buffer(instructions, len(instructions))
    filter_program = _FilterProgram(len(instructions) // 8, ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    number = _MACHINES[machine][2]
    if libc.syscall(number, _SET_MODE_FILTER, _ALL_THREADS, ctypes.byref(filter_program)) != 0:
        raise OSError(ctypes.get_errno(), "the kernel refused the seccomp filter")


def program(machine: str, pid: int) -> _Program:
    """Return the BPF instructions for a machine. The process may signal only its own threads, those of ``pid``."""
    column, architecture, _ = _MACHINES[machine]
    made: _Program = [
        (_LOAD, 0, 0, 4),  # the architecture of the call
        (_IF_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _KILL_PROCESS),
        (_LOAD, 0, 0, 0),  # the number of the call
        (_IF_GREATER, 0, 1, _NEWEST_KNOWN),
        (_RETURN, 0, 0, _ERRNO | errno.ENOSYS),
    ]
    for action, calls in ((_ALLOW, ALLOWED), (_KILL_PROCESS, KILLED), (_ERRNO | errno.ENOSYS, NOT_IMPLEMENTED)):
        for number in _numbers(calls, column):
            made += [(_IF_EQUAL, 0, 1, number), (_RETURN, 0, 0, action)]
    for name, numbers in CONDITIONAL.items():
        condition = _condition(name, pid)
        if (own := numbers[column]) is not None:
            made += [(_IF_EQUAL, 0, len(condition), own), *condition]
    return [*made, (_RETURN, 0, 0, _DENY)]


def _numbers(calls: Mapping[str, tuple[int | None, int | None]], column: int) -> Iterable[int]:
    return (number for numbers in calls.values() if (number := numbers[column]) is not None)


def _condition(name: str, pid: int) -> _Program:
    """Return the instructions that decide a call by its arguments. Each ends with a verdict."""
    if name == "open":
        return _unless_any(1, _WRITING)
    if name == "openat":
        return _unless_any(2, _WRITING)
    if name == "clone":  # threads, but no processes
        return [*_unless_any(0, _CLONE_NEW_NAMESPACE)[:-1], *_if_any(0, _CLONE_THREAD)]
    if name == "tgkill":  # abort()
        return _if_one_of(0, (pid,))
    if name == "prlimit64":  # of the process itself
        return _if_one_of(0, (0,))
    return _if_one_of(1, _FCNTL if name == "fcntl" else _IOCTL)


def _argument(index: int) -> tuple[int, int, int, int]:
    """Load the lower half of an argument. Little-endian."""
    return (_LOAD, 0, 0, 16 + 8 * index)


def _unless_any(index: int, bits: int) -> _Program:
    return [_argument(index), (_IF_ANY_BIT, 0, 1, bits), (_RETURN, 0, 0, _DENY), (_RETURN, 0, 0, _ALLOW)]


def _if_any(index: int, bits: int) -> _Program:
    return [_argument(index), (_IF_ANY_BIT, 0, 1, bits), (_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _DENY)]


def _if_one_of(index: int, values: Sequence[int]) -> _Program:
    tests: _Program = []
    for value in values:
        tests += [(_IF_EQUAL, 0, 1, value), (_RETURN, 0, 0, _ALLOW)]
    return [_argument(index), *tests, (_RETURN, 0, 0, _DENY)]
