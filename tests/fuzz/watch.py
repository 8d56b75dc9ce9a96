"""What is held of an input: how it is read is watched, and what was not as promised is a finding."""

from __future__ import annotations

import os
import re
import sys
import time
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graphc.errors import GraphcError
from graphc.system import optional_module

from .harness import Harness

resource = optional_module("resource")

MEBIBYTE = 1 << 20
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
FORBIDDEN = (
    "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.chmod", "os.system",
    "os.exec", "os.fork", "os.posix_spawn", "subprocess.Popen", "socket.connect", "socket.bind", "pickle.find_class",
    "shutil.rmtree", "tempfile.mkstemp", "tempfile.mkdtemp",
)  # fmt: skip
"""Python's audit events of what no reader does."""


@dataclass(frozen=True, slots=True)
class Finding:
    """An input that was not read as promised."""

    kind: str
    """exception, slow, memory or side effect; died: the process."""
    what: str
    """The same for what is likely the same fault."""
    text: str
    """The traceback, or more of it."""


@dataclass(slots=True)
class Measured:
    """Of many inputs."""

    inputs: int = 0
    accepted: int = 0
    """Those that were read without an error."""
    seconds: float = 0.0
    """Of a processor, for the slowest."""
    mebibytes: float = 0.0
    """Above what the process had in the beginning."""


class Watch:
    """Watches one harness in this process."""

    def __init__(self, harness: Harness) -> None:
        self.harness = harness
        self.measured = Measured()
        self._status = open("/proc/self/status", "rb", buffering=0) if os.path.exists("/proc/self/status") else None  # noqa: SIM115
        self._base = 0.0

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *error: object) -> None:
        if self._status is not None:
            self._status.close()

    def begin(self) -> None:
        """Measure from here on, after what is loaded once is there."""
        if self._status is not None:
            with suppress(OSError):
                Path("/proc/self/clear_refs").write_text("5")  # the most from now on
        self._base = self._peak()

    def give(self, data: bytes) -> Finding | None:
        """Have an input read."""
        path = self.harness.path
        path.write_bytes(self.harness.packed(data))
        before = sorted(os.listdir(self.harness.folder))
        start = time.process_time()
        with _audited() as events:
            try:
                self.harness.read()
                self.measured.accepted += 1
                failure = None
            except GraphcError as error:
                str(error)
                failure = None
            except (KeyboardInterrupt, SystemExit):
                raise
            except BaseException as error:
                failure = _failure(error)
        took = time.process_time() - start
        peak = self._peak() - self._base
        self.measured.inputs += 1
        self.measured.seconds = max(self.measured.seconds, took)
        self.measured.mebibytes = max(self.measured.mebibytes, peak)
        if (
            failure is None
            and not self.harness.writes
            and (events or sorted(os.listdir(self.harness.folder)) != before)
        ):
            failure = Finding("side effect", events[0] if events else "a file in the folder", "\n".join(events))
        if failure is None and took > self.harness.seconds:
            failure = Finding("slow", "slow", f"{took:.1f} s of a processor")
        if failure is None and peak > self.harness.mebibytes:
            failure = Finding("memory", "memory", f"{peak:.0f} MiB")
        if peak > self.harness.mebibytes:
            self.begin()
        return failure

    def _peak(self) -> float:
        """MiB of memory that this process has had at most."""
        if self._status is None and resource is None:
            return 0.0
        if self._status is None:
            scale = MEBIBYTE if sys.platform == "darwin" else 1024
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / scale
        found = re.search(rb"VmHWM:\s*([0-9]+)", os.pread(self._status.fileno(), 4096, 0))
        return int(found[1]) / 1024 if found else 0.0


_heard: list[str] | None = None
"""What was done meanwhile; None: nobody listens."""
_hooked = False


@contextmanager
def _audited() -> Iterator[list[str]]:
    """What was done inside that no reader does."""
    global _heard, _hooked  # noqa: PLW0603  (an audit hook cannot be taken away)
    if not _hooked:
        sys.addaudithook(_hear)
        _hooked = True
    _heard = found = []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield found
    finally:
        _heard = None


def _hear(event: str, arguments: tuple[Any, ...]) -> None:
    if _heard is None or "__pycache__" in str(arguments):  # an import's, of a module that is new
        return
    if event == "open":
        path, mode, flags = arguments
        if isinstance(path, int):  # a descriptor: opening it has been heard
            return
        text = isinstance(mode, str) and any(each in mode for each in "wax+")
        writes = text or (isinstance(flags, int) and flags & WRITING)
        if writes and path != os.devnull:
            _heard.append(f"open for writing: {path}")
    elif event in FORBIDDEN:
        _heard.append(f"{event}: {arguments}"[:200])


def _failure(error: BaseException) -> Finding:
    """An exception that is not ours, known by its type and the last place in graphc."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if f"{os.sep}graphc{os.sep}" in frame.filename]
    where = f"{Path(ours[-1].filename).name}:{ours[-1].name}" if ours else "nowhere in graphc"
    text = "".join(traceback.format_exception(error))
    return Finding("exception", f"{type(error).__name__} in {where}", text[-4000:])
