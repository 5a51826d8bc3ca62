"""Landlock rules that leave a process nothing but reading a few folders (Linux 5.13 and later, any user).

The layout of the structures and the constants are in ``linux/landlock.h``. Landlock cannot hide that a path exists.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import sys
from collections.abc import Iterable
from pathlib import Path

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
"""Numbers of the calls, the same on every architecture."""
_VERSION = 1
_RULE_PATH_BENEATH = 1

_READ_FILE = 1 << 2
_READ_DIR = 1 << 3
_FILE_ACCESS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
"""Every kind of access to files that an ABI knows: execute, read, write, make, remove; 2 adds moving between folders,
3 truncating, 5 ioctl on devices."""
_TCP_ABI, _TCP = 4, 0b11
"""Binding and connecting TCP sockets."""
_SCOPE_ABI, _SCOPE = 6, 0b11
"""Connecting to abstract Unix sockets of other processes, and sending them signals."""


def abi() -> int:
    """Return the version of Landlock that the kernel offers, or 0."""
    if sys.platform != "linux":
        return 0
    return max(0, int(ctypes.CDLL(None).syscall(_CREATE_RULESET, None, 0, _VERSION)))


def apply(readable: Iterable[Path]) -> int:
    """Deny this thread, and what it starts, all files except reading ``readable``, all TCP and all signals to others.

    Return the version of Landlock, which says which of these the kernel knows. Call it while there is one thread.
    Needs ``no_new_privs``. A path that does not exist is left out. Raises OSError where there is no Landlock.
    """
    version = abi()
    if not version:
        raise OSError(errno.ENOSYS, "the kernel has no Landlock, or it is switched off")
    files = _FILE_ACCESS[max(known for known in _FILE_ACCESS if known <= version)]
    attributes = struct.pack("=Q", files)
    if version >= _TCP_ABI:
        attributes += struct.pack("=Q", _TCP)
    if version >= _SCOPE_ABI:
        attributes += struct.pack("=Q", _SCOPE)
    ruleset = _call(_CREATE_RULESET, attributes, len(attributes), 0)
    try:
        for path in readable:
            _allow_reading(ruleset, path)
        _call(_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)
    return version


def _allow_reading(ruleset: int, path: Path) -> None:
    try:
        opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        access = _READ_FILE | _READ_DIR if path.is_dir() else _READ_FILE
        _call(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, struct.pack("=Qi", access, opened), 0)
    finally:
        os.close(opened)


def _call(number: int, *arguments: int | bytes) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    passed = [ctypes.c_char_p(one) if isinstance(one, bytes) else ctypes.c_long(one) for one in arguments]
    result = int(libc.syscall(ctypes.c_long(number), *passed))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result
