"""A process that has all of graphc loaded, and forks a copy of itself for each command: `Server`, and its own side.

A command so takes tens of milliseconds, not the seconds in which libraries are loaded. Each is a leader of a group of
processes, so that what it leaves behind is known.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.faults.calls import KINDS, OF_FULL_DISKS, Action, Call, Fault, read_calls

LOG_HANDLE = 900
SOON, LOCKED = 0.05, 3
"""Seconds between two looks of a sweep's worker, and after which the lock of one that has died is nobody's."""
ORPHANS_END = 5.0
"""Seconds in which workers notice that their parent is gone."""
SUBREAPER = 36
"""Linux' prctl: what a command leaves behind becomes a child of this process."""


@dataclass(frozen=True)
class Request:
    """A command, and what goes wrong in it."""

    folder: str
    """Where it runs, and whose files are counted."""
    arguments: Sequence[str]
    notes: str
    """A folder for its log and its output."""
    fault: Fault = field(default_factory=Fault)
    with_data: bool = False
    largest: int = 0
    """Bytes of an ONNX file beyond which weights go to another; 0: as always."""
    address_space: int = 0
    """Bytes that it may have beyond those of a process that has done nothing; 0: as many as there are."""
    beat: float = 0.0
    """Seconds between two signs of life of a sweep's worker."""
    timeout: float = 120.0


@dataclass(frozen=True)
class Result:
    """What became of it."""

    code: int
    """Negative: the signal that ended it."""
    output: bytes
    words: str
    calls: list[Call]
    hit: Call | None
    orphans: int
    """Processes that it left behind, and that did not end soon."""
    modules: list[str]
    seconds: float


class Server:
    """The process as its user sees it; for `with`."""

    def __init__(self, library: Path) -> None:
        environment = {**os.environ, "LD_PRELOAD": str(library), "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "tests.faults.server", str(library)]
        self._process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
        )

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def _ask(self, question: dict[str, Any]) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(question).encode() + b"\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, "the server is gone"
        return json.loads(answer)

    def load(self, modules: Sequence[str]) -> None:
        """Have these loaded before a command is forked."""
        self._ask({"load": list(modules)})

    def run(self, request: Request) -> Result:
        notes = Path(request.notes)
        notes.mkdir(parents=True, exist_ok=True)
        answer = self._ask({"run": asdict(request)})
        calls, hit = read_calls(notes / "log", with_data=request.with_data)
        modules = (notes / "modules").read_text().split() if (notes / "modules").exists() else []
        return Result(
            answer["code"],
            (notes / "out").read_bytes(),
            (notes / "err").read_text(errors="replace"),
            calls,
            hit,
            answer["orphans"],
            modules,
            answer["seconds"],
        )


# -- its own side -----------------------------------------------------------------------------------------------


def serve(library: str) -> None:
    shim = ctypes.CDLL(library)
    ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)
    answers = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        question = json.loads(line)
        answer: Any = None
        if "load" in question:
            for name in question["load"]:
                with contextlib.suppress(Exception):
                    importlib.import_module(name)
        else:
            given = question["run"]
            request = Request(**{**given, "fault": Fault(**given["fault"])})
            started = time.monotonic()
            child = os.fork()
            if child == 0:
                _command(shim, request, answers.fileno())
            code, orphans = _wait_for(child, request.timeout)
            answer = {"code": code, "orphans": orphans, "seconds": time.monotonic() - started}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _command(shim: Any, request: Request, answers: int) -> None:
    """Be `graphc ARGUMENTS`."""
    os.setsid()
    os.close(answers)
    notes = Path(request.notes)
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    for name, handle in (("out", 1), ("err", 2), ("log", LOG_HANDLE)):
        opened = os.open(notes / name, flags | (os.O_APPEND if name == "log" else 0), 0o666)
        os.dup2(opened, handle, inheritable=handle <= 2)
        os.close(opened)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.chdir(request.folder)
    sys.argv = ["graphc", *request.arguments]
    from graphc.cli.entry import enter

    if request.largest:
        from graphc.emit import model

        model.write_model.__defaults__ = (request.largest,)
    if "sweep" in request.arguments:
        _beat(request.beat)
    if not request.fault.at and not request.address_space:
        _note_modules(notes / "modules")
    if request.address_space:
        _limit_memory(request.address_space)
    fault = request.fault
    kinds = sum(1 << KINDS.index(kind) for kind in OF_FULL_DISKS) if fault.action == Action.FAIL_ON else 0
    shim.faults_watch(1, b"standard output")
    shim.faults_arm(
        os.getcwd().encode(),
        LOG_HANDLE,
        int(request.with_data),
        fault.process,
        ctypes.c_long(fault.at),
        int(fault.action),
        fault.error,
        ctypes.c_uint(kinds),
        ctypes.c_size_t(fault.least),
    )
    enter()


def _beat(seconds: float) -> None:
    """Let a sweep's worker give signs of life so often, and those who look at them, and at locks, not wait long."""
    from optuna.storages.journal import JournalFileOpenLock

    from graphc.sweep import study, worker

    study.BEAT, study.LOOKS, worker.LOOK = seconds, 5, SOON
    JournalFileOpenLock.__init__.__defaults__ = (LOCKED,)


def _note_modules(path: Path) -> None:
    """Write down at this process's end which modules it has loaded."""
    leave, me = os._exit, os.getpid()

    def note_and_leave(code: int) -> None:
        if os.getpid() == me:
            path.write_text("\n".join(sys.modules))
        leave(code)

    os._exit = note_and_leave  # type: ignore[assignment]


def _limit_memory(more: int) -> None:
    import resource

    pages = int(Path("/proc/self/statm").read_text().split()[0])
    size = pages * os.sysconf("SC_PAGE_SIZE") + more
    resource.setrlimit(resource.RLIMIT_AS, (size, size))


def _wait_for(child: int, timeout: float) -> tuple[int, int]:
    """Its exit code, and how many processes of its group did not end by themselves."""
    handle = os.pidfd_open(child)
    if not select.select([handle], [], [], timeout)[0]:
        os.killpg(child, signal.SIGABRT)  # not by any signal that a test sends
    os.close(handle)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    deadline = time.monotonic() + ORPHANS_END
    while _are_there(child):
        if time.monotonic() > deadline:
            os.killpg(child, signal.SIGKILL)
            count = 0
            while _are_there(child, wait=True):
                count += 1
            return code, count + 1
        time.sleep(0.002)
    return code, 0


def _are_there(group: int, *, wait: bool = False) -> bool:
    try:
        os.waitpid(-group, 0 if wait else os.WNOHANG)
    except ChildProcessError:
        return False
    return True


if __name__ == "__main__":
    serve(sys.argv[1])
