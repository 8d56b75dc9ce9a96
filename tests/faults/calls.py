"""Calls of the system that shim.c counts, and what can become of each."""

from __future__ import annotations

import errno
import shutil
import subprocess
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

KINDS = (
    "open", "create", "read", "write", "fsync", "rename", "close", "unlink", "mkdir", "map", "share", "truncate",
    "chmod", "lock", "list", "fork", "semaphore", "pipe", "thread", "allocate",
)  # fmt: skip
"""As in shim.c, in its order."""
ERRORS: dict[str, tuple[int, ...]] = {
    "open": (errno.EIO, errno.EACCES, errno.EMFILE, errno.EINTR),
    "create": (errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EACCES, errno.EINTR),
    "read": (errno.EIO, errno.EINTR),
    "write": (errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EINTR),
    "fsync": (errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EINTR),
    "rename": (errno.EIO, errno.ENOSPC, errno.EACCES),
    "close": (errno.EIO, errno.EDQUOT),
    "unlink": (errno.EIO, errno.EACCES),
    "mkdir": (errno.ENOSPC, errno.EIO, errno.EACCES),
    "map": (errno.ENOMEM, errno.EIO),
    "share": (errno.ENOMEM,),
    "truncate": (errno.EIO, errno.ENOSPC, errno.EINTR),
    "chmod": (errno.EPERM, errno.EIO),
    "lock": (errno.ENOLCK, errno.EINTR),
    "list": (errno.EIO, errno.EACCES, errno.EMFILE),
    "fork": (errno.EAGAIN, errno.ENOMEM),
    "semaphore": (errno.ENOSPC, errno.EMFILE),
    "pipe": (errno.EMFILE,),
    "thread": (errno.EAGAIN,),
    "allocate": (errno.ENOMEM,),
}
"""How a call of each kind can fail."""
OF_FULL_DISKS = ("create", "write", "mkdir")
"""What fails again and again on a disk that is full."""


class Action(IntEnum):
    """What becomes of a call, numbered as in shim.c."""

    NOTHING = 0
    FAIL = 1
    FAIL_ON = 2
    """Also all later calls of the kinds in OF_FULL_DISKS."""
    SHORT = 3
    """It does half of what it was asked to."""
    KILL_BEFORE = 4
    KILL_AFTER = 5
    INTERRUPT = 6
    """SIGINT comes before it."""


KILLS = (Action.KILL_BEFORE, Action.KILL_AFTER)


@dataclass(frozen=True, slots=True)
class Fault:
    """What becomes of the `at`-th call (from 1) of a process: 0 for the command's own, 1 for the first it forks."""

    at: int = 0
    action: Action = Action.NOTHING
    error: int = 0
    process: int = 0
    least: int = 0
    """Bytes of allocations that are counted, and nothing else is; 0: none are."""

    def __str__(self) -> str:
        how = self.action.name.lower().replace("_", " ")
        return f"{how} {errno.errorcode[self.error]}" if self.error else how


@dataclass(frozen=True, slots=True)
class Call:
    """A line of the log."""

    kind: str
    inode: int
    path: str
    more: str
    """Where a name is moved; `new` for a file that an `open` has made, `empty` for one that it has emptied."""
    offset: int
    length: int
    result: int
    data: bytes = b""


def faults_of(call: Call, at: int, process: int = 0) -> list[Fault]:
    """All that can become of this call."""
    found = [Fault(at, Action.FAIL, number, process) for number in ERRORS[call.kind]]
    if call.kind in ("read", "write") and call.length > 1:
        found.append(Fault(at, Action.SHORT, 0, process))
    if call.kind in OF_FULL_DISKS:
        found.append(Fault(at, Action.FAIL_ON, errno.ENOSPC, process))
    actions = KILLS if process else (*KILLS, Action.INTERRUPT)
    return [*found, *(Fault(at, action, 0, process) for action in actions)]


def read_calls(path: Path, *, with_data: bool = False) -> tuple[list[Call], Call | None]:
    """The calls of a log, and the one that was dealt with."""
    found, here, data, at = [], None, path.read_bytes(), 0
    while at < len(data):
        end = data.index(b"\n", at)
        kind, inode, name, more, *numbers = data[at:end].decode(errors="replace").split("\t")
        call = Call(kind, int(inode), name, more, *map(int, numbers))
        at = end + 1
        if with_data and kind == "write" and call.result > 0:
            call = Call(
                kind, call.inode, name, more, call.offset, call.length, call.result, data[at : at + call.result]
            )
            at += call.result
        if more == "HERE":
            here = call
        else:
            found.append(call)
    return found, here


def why_no_shim() -> str | None:
    """What is missing here to build it."""
    if shutil.which("gcc") is None:
        return "there is no gcc to build the library that counts calls"
    if not Path("/proc/self/fd").is_dir():
        return "calls are counted on Linux"
    return None


def build_shim(folder: Path) -> Path:
    """Compile shim.c; the library."""
    library = folder / "shim.so"
    source = Path(__file__).with_name("shim.c")
    options = ["-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
    subprocess.run(["gcc", *options, "-o", library, source, "-ldl", "-lpthread"], check=True)
    return library
