"""What may lie on a disk after a power cut: of the calls of a command, what was forced to the disk is there, all else
may be there or not.

A file's bytes are safe when it was synced, and a name (made, moved, removed) when its folder was. What was not synced
is lost, or kept, in any combination, whatever the order of the calls; bytes may also be cut off in the middle, or be
zeros, where a file system has made a file longer before it has written to it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, count
from pathlib import Path, PurePosixPath

from tests.faults.calls import Call

MOST_COMBINED = 5
"""As many names that are not safe are combined in every way; of more, one at a time is lost, or kept."""
Disk = Mapping[str, bytes | None]
"""Files by path, and folders (None)."""


@dataclass(frozen=True, slots=True)
class Change:
    """What a call does to the disk."""

    kind: str
    """write, truncate: of a file's bytes; name, move, remove, folder: of a folder's names."""
    file: int = -1
    path: str = ""
    target: str = ""
    """Where it is moved."""
    offset: int = 0
    data: bytes = b""

    @property
    def of_bytes(self) -> bool:
        return self.kind in ("write", "truncate")

    @property
    def folders(self) -> set[str]:
        """Whose names it changes."""
        return {str(PurePosixPath(path).parent) for path in (self.path, self.target) if path}


@dataclass(frozen=True, slots=True)
class Sync:
    """A file or a folder is forced to the disk."""

    file: int = -1
    folder: str = ""


class History:
    """The changes and syncs of a command, in order, in a folder with these files."""

    def __init__(self, calls: Iterable[Call], folder: Path, before: Disk) -> None:
        self.before = before
        self._folder = folder
        self._names = {name: number for number, name in enumerate(before)}
        self._numbers = count(len(before))
        self._folders = {".", *(name for name, data in before.items() if data is None)}
        self.first = {number: data or b"" for number, data in enumerate(before.values())}
        """Files that were there, by number: their bytes."""
        self._inodes: dict[int, int] = {}
        self.steps = [step for call in calls if call.result >= 0 for step in self._steps_of(call)]

    def _steps_of(self, call: Call) -> Iterator[Change | Sync]:
        if not call.path.startswith(f"{self._folder}"):
            return
        path = Path(call.path).relative_to(self._folder).as_posix()
        if call.kind == "create" and call.more.startswith("new"):
            self._inodes[call.inode] = self._names[path] = number = next(self._numbers)
            self.first[number] = b""
            yield Change("name", number, path)
        elif call.kind in ("open", "create"):
            self._inodes[call.inode] = self._names.get(path, -1)
            if call.more.endswith("empty"):
                yield Change("truncate", self._names[path])
        elif call.kind == "write":
            yield Change("write", self._inodes[call.inode], offset=call.offset, data=call.data)
        elif call.kind == "truncate":
            yield Change("truncate", self._inodes[call.inode], offset=call.length)
        elif call.kind == "rename":
            target = Path(call.more).relative_to(self._folder).as_posix()
            number = self._names.pop(path)
            self._names[target] = number
            yield Change("move", number, path, target)
        elif call.kind == "unlink":
            yield Change("remove", self._names.pop(path, -1), path)
        elif call.kind == "mkdir":
            self._folders.add(path)
            yield Change("folder", -1, path)
        elif call.kind == "fsync":
            yield Sync(folder=path) if path in self._folders else Sync(self._inodes[call.inode])

    def changes(self, steps: int) -> tuple[list[Change], list[Change]]:
        """Of so many steps, the changes that are safe, and those that are not, in order."""
        safe: list[Change] = []
        waiting: list[Change] = []
        for step in self.steps[:steps]:
            if isinstance(step, Change):
                waiting.append(step)
            else:
                safe += [change for change in waiting if _is_synced(change, step)]
                waiting = [change for change in waiting if not _is_synced(change, step)]
        return safe, waiting

    def disk(self, kept: Iterable[Change]) -> Disk:
        """What is on the disk where these changes were made, in order."""
        names = {name: number for number, name in enumerate(self.before)}
        folders = {name for name, data in self.before.items() if data is None}
        files = dict(self.first)
        for change in kept:
            if change.kind == "write":
                old = files[change.file].ljust(change.offset, b"\0")
                files[change.file] = old[: change.offset] + change.data + old[change.offset + len(change.data) :]
            elif change.kind == "truncate":
                files[change.file] = files[change.file][: change.offset].ljust(change.offset, b"\0")
            elif change.kind == "name":
                names[change.path] = change.file
            elif change.kind == "move":
                names.pop(change.path, None)
                names[change.target] = change.file
            elif change.kind == "remove":
                names.pop(change.path, None)
            else:
                folders.add(change.path)
        there = {name: files[number] for name, number in names.items() if name not in folders}
        whole = {**dict.fromkeys(folders), **there}
        return {name: data for name, data in whole.items() if _parents(name) <= folders}

    def disks(self, steps: int) -> Iterator[Disk]:
        """All that may be on the disk where the power is cut behind so many steps."""
        _, waiting = self.changes(steps)
        names = [change for change in waiting if not change.of_bytes]
        bytes_ = [change for change in waiting if change.of_bytes]
        order = [step for step in self.steps[:steps] if isinstance(step, Change)]
        for lost_names in subsets(names):
            for changed in losses(bytes_):
                yield self.disk(_kept(order, lost_names, changed))


def _is_synced(change: Change, sync: Sync) -> bool:
    if change.of_bytes:
        return change.file == sync.file
    return sync.folder in change.folders


def _parents(name: str) -> set[str]:
    return {str(parent) for parent in PurePosixPath(name).parents} - {"."}


def _kept(
    order: Sequence[Change], lost: Sequence[Change], changed: Sequence[tuple[Change, Change | None]]
) -> Iterator[Change]:
    gone = {id(change) for change in lost}
    instead = {id(change): other for change, other in changed}
    for change in order:
        if id(change) in instead:
            if (other := instead[id(change)]) is not None:
                yield other
        elif id(change) not in gone:
            yield change


def subsets(changes: Sequence[Change]) -> Iterator[Sequence[Change]]:
    """Which of them are lost: every combination of a few; of many none, all, one, all but one, and all behind one."""
    if len(changes) <= MOST_COMBINED:
        for size in range(len(changes) + 1):
            yield from combinations(changes, size)
        return
    yield from ((), changes)
    for number, change in enumerate(changes):
        yield (change,)
        yield [*changes[:number], *changes[number + 1 :]]
        yield changes[number:]


def losses(changes: Sequence[Change]) -> Iterator[Sequence[tuple[Change, Change | None]]]:
    """What becomes of bytes that are not safe: all are there, none, not the last, the last cut off, or zeros."""
    yield ()
    if not changes:
        return
    yield [(change, None) for change in changes]
    last = changes[-1]
    if len(changes) > 1:
        yield [(last, None)]
    if last.kind == "write":
        half = Change("write", last.file, offset=last.offset, data=last.data[: len(last.data) // 2])
        yield [(last, half)]
    zeros = [
        (each, Change("write", each.file, offset=each.offset, data=bytes(len(each.data))))
        for each in changes
        if each.kind == "write"
    ]
    if zeros:
        yield zeros


def digest(disk: Disk) -> str:
    """The same for the same files."""
    found = hashlib.sha256()
    for name, data in sorted(disk.items()):
        found.update(f"{name}\0{data is None}\0{len(data or b'')}\0".encode() + (data or b""))
    return found.hexdigest()


def read_disk(folder: Path) -> Disk:
    paths = sorted(folder.rglob("*"))
    return {path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None for path in paths}


def write_disk(folder: Path, disk: Disk) -> None:
    """Make the folder as it is on this disk; it is empty before."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in sorted(disk.items()):
        path = folder / name
        if data is None:
            path.mkdir(parents=True, exist_ok=True)
        else:
            path.write_bytes(data)
