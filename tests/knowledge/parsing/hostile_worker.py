"""The real worker process with a parser that attacks: each file names an attack and its arguments as JSON.

Run as ``python -m tests.knowledge.parsing.hostile_worker [LAYER...] BYTES``. The layers are left out. Nothing in the
product starts this module. An attack returns its loot as text, or raises an error.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import mmap
import os
import platform
import resource
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from knowledge.parsing import parsers
from knowledge.parsing.document_builder import Builder, ParsedDocument
from knowledge.parsing.format_detection import Format
from knowledge.parsing.isolation import worker_process
from knowledge.parsing.parse_options import NO_OPTIONS, ParseOptions

LIBC = ctypes.CDLL(None, use_errno=True)
CALLS = {
    "x86_64": {"ptrace": 101, "process_vm_readv": 310, "unshare": 272, "io_uring_setup": 425, "bpf": 321},
    "aarch64": {"ptrace": 117, "process_vm_readv": 270, "unshare": 97, "io_uring_setup": 425, "bpf": 280},
}.get(platform.machine(), {})
DONE = "done"
KEPT: list[bytes] = []


def parse(
    data: bytes,
    name: str = "",
    content_type: str = "",
    options: ParseOptions = NO_OPTIONS,
    *,
    kind: Format | None = None,
) -> ParsedDocument:
    """Run the attack that a file names."""
    wanted = json.loads(data)
    attack: Callable[..., str] = ATTACKS[wanted["attack"]]
    builder = Builder()
    builder.add("paragraph", attack(**wanted["arguments"]) or "nothing")
    return builder.build("loot")


def call(name: str, *arguments: object) -> int:
    """Make a system call. Raises OSError."""
    result: int = LIBC.syscall(CALLS[name], *arguments)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def read_file(path: str) -> str:
    return Path(path).read_bytes()[:20_000].decode("utf-8", "replace").replace("\0", "\n")


def read_parent(name: str) -> str:
    return read_file(f"/proc/{os.getppid()}/{name}")


def list_folder(path: str) -> str:
    return "\n".join(sorted(one.name for one in Path(path).iterdir()))


def create_file(path: str) -> str:
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY))
    return DONE


def empty_file(path: str) -> str:
    os.close(os.open(path, os.O_RDONLY | os.O_TRUNC))
    return DONE


def make_folder(path: str) -> str:
    Path(path).mkdir()
    return DONE


def remove_file(path: str) -> str:
    Path(path).unlink()
    return DONE


def rename_file(path: str) -> str:
    Path(path).rename(f"{path}.renamed")
    return DONE


def link_file(path: str) -> str:
    Path(f"{path}.link").symlink_to("/etc/passwd")
    return DONE


def change_mode(path: str) -> str:
    Path(path).chmod(0o777)
    return DONE


def write_much(path: str) -> str:
    """Write 64 MB, after raising the limit of a file's size."""
    with suppress(ValueError, OSError):
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    with Path(path).open("wb") as file:
        file.write(bytes(2**26))
    return DONE


def connect_tcp(port: int) -> str:
    with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
        connection.sendall(b"loot")
    return DONE


def listen_tcp() -> str:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
    return DONE


def send_udp(port: int) -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"loot", ("127.0.0.1", port))
    return DONE


def connect_unix(path: str) -> str:
    """Connect to a Unix socket. ``@`` at the beginning names an abstract one."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(f"\0{path[1:]}" if path.startswith("@") else path)
        connection.sendall(b"loot")
    return DONE


def fork() -> str:
    pid = os.fork()
    if not pid:
        os._exit(0)
    os.waitpid(pid, 0)
    return DONE


def run_shell(path: str) -> str:
    if os.system(f"touch {path}") != 0:
        raise OSError("the shell did not run")
    return DONE


def run_program(path: str) -> str:
    subprocess.run(["/bin/sh", "-c", f"touch {path}"], check=True, timeout=5)
    return DONE


def become_program(path: str) -> str:
    for number in range(64):  # the parent process would end it when the pipe closes
        with suppress(OSError):
            os.set_inheritable(number, True)
    os.execv("/bin/sh", ["sh", "-c", f"touch {path}"])


def signal_process(pid: int) -> str:
    os.kill(pid, signal.SIGTERM)
    return DONE


def signal_by_pipe(pid: int) -> str:
    """Have the kernel send a signal to another process when a pipe can be read."""
    fcntl.fcntl(0, fcntl.F_SETOWN, pid)
    return DONE


def trace(pid: int) -> str:
    call("ptrace", 0x4206, pid, None, None)  # PTRACE_SEIZE, which does not stop the process
    return DONE


def read_memory(pid: int, address: int) -> str:
    buffer = ctypes.create_string_buffer(8)
    here = struct.pack("@PN", ctypes.addressof(buffer), 8)
    there = struct.pack("@PN", address, 8)
    call("process_vm_readv", pid, here, 1, there, 1, 0)
    return DONE


def unshare() -> str:
    call("unshare", 0x10000000)  # CLONE_NEWUSER
    return DONE


def io_uring() -> str:
    call("io_uring_setup", 1, ctypes.create_string_buffer(120))
    return DONE


def bpf() -> str:
    """Create a map. Root only, so a refusal by the kernel itself is EPERM as well."""
    attributes = struct.pack("=5I", 2, 4, 4, 1, 0) + bytes(100)
    call("bpf", 0, attributes, len(attributes))
    return DONE


def use_memory(megabytes: int) -> str:
    """Use memory, after raising the limit as far as it goes."""
    for limit in (resource.RLIMIT_AS, resource.RLIMIT_DATA):
        with suppress(ValueError, OSError):
            _, hard = resource.getrlimit(limit)
            resource.setrlimit(limit, (hard, hard))
    kept = []
    for _ in range(megabytes):
        block = mmap.mmap(-1, 2**20)
        block[0] = 1
        kept.append(block)
    return DONE


def fill_memory() -> str:
    """Use memory until there is no more, and free it."""
    held: list[bytes] = []
    with suppress(MemoryError):
        while True:
            held.append(b"x" * 2**20)
    return f"{len(held)} MB"


def keep_memory(megabytes: int) -> str:
    """Use memory, and hold it after the file."""
    KEPT.append(b"x" * (megabytes * 2**20))
    return DONE


def spin() -> str:
    while True:
        pass


def use_threads() -> str:
    """What parsers may do: no attack."""
    found: list[int] = []
    threads = [threading.Thread(target=found.append, args=(number,)) for number in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    time.sleep(0.01)
    return " ".join(map(str, sorted(found)))


def facts() -> str:
    """What a test wants to know about the process."""
    opened = []
    for number in range(4096):
        with suppress(OSError):
            os.fstat(number)
            opened.append(number)
    return json.dumps(
        {
            "environment": dict(os.environ),
            "descriptors": opened,
            "limits": {
                name: resource.getrlimit(getattr(resource, f"RLIMIT_{name}"))
                for name in ("CORE", "FSIZE", "NOFILE", "CPU", "AS")
            },
        }
    )


def garbage(head: str) -> str:
    """Send something else than a response."""
    encoded = head.encode()
    frame = struct.pack("<QQ", len(encoded), 0) + encoded
    for number in range(3, 64):
        with suppress(OSError):
            os.write(number, frame)
    time.sleep(5)
    return DONE


ATTACKS: dict[str, Callable[..., str]] = {
    made.__name__: made
    for made in (
        read_file, read_parent, list_folder, create_file, empty_file, make_folder, remove_file, rename_file, link_file,
        change_mode, write_much, connect_tcp, listen_tcp, send_udp, connect_unix, fork, run_shell, run_program,
        become_program, signal_process, signal_by_pipe, trace, read_memory, unshare, io_uring, bpf, use_memory,
        fill_memory, keep_memory, spin,
        use_threads, facts, garbage,
    )
}  # fmt: skip


def main() -> None:
    """Start the real worker with ``parse`` above as its only parser."""
    *without, memory = sys.argv[1:]
    sys.argv[1:] = [memory]
    if hidden := os.environ.get("PARLEY_TEST_HIDE"):
        sys.modules[hidden] = None  # type: ignore[assignment]
    if "PARLEY_TEST_REAL_PARSERS" not in os.environ:
        parsers.parse = parse
    worker_process.main(without=without)


if __name__ == "__main__":
    main()
