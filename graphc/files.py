"""Reading and writing files so that nothing is read past its limit and nothing is left half-written."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import os
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from graphc.errors import CONTROLS, GraphcError, MachineError, Place, SpecError, WeightsError
from graphc.lazy import lazy_import
from graphc.system import (
    NotPlain,
    begin_writing,
    is_alive,
    is_reserved,
    is_stream,
    open_new,
    open_plain,
    replace,
    set_permissions,
    sync_folder,
)

if TYPE_CHECKING:
    import unicodedata
else:  # few commands compare names
    unicodedata = lazy_import("unicodedata")

ADVICE = {
    errno.ENOSPC: "the disk is full: free some space or write elsewhere",
    errno.EDQUOT: "the disk quota is used up: free some space or write elsewhere",
    errno.EFBIG: "the file would be larger than is allowed here: write elsewhere",
    errno.EACCES: "no permission: choose another place or change its permissions",
    errno.EPERM: "no permission: choose another place or change its permissions",
    errno.EROFS: "the file system is read-only: choose another place",
    errno.ENOENT: "the folder does not exist: make it first",
    errno.ENOTDIR: "a part of the path is a file, not a folder",
    errno.EISDIR: "a folder of this name is in the way",
    errno.EMFILE: "too many files are open: raise the limit (ulimit -n)",
}

NO_PATHS = (errno.ELOOP, errno.ENAMETOOLONG, errno.EINVAL)
"""What systems say of texts that cannot be a path."""
LONGEST_SHOWN = 100
"""Characters of a name in a message."""
LONGEST_NAME = 255
"""Characters of names that are compared by how they look."""
IN_TEXTS = {number: said for number, said in CONTROLS.items() if chr(number) not in "\n\t"}
ESCAPED = "in double quotes, YAML takes \\n and \\t for a line break and a tab: write a path with / or in single quotes"


def machine_error(action: str, path: Path | str, error: OSError) -> MachineError:
    """What the operating system refused, and what to do about it."""
    said = error.strerror or str(error) or type(error).__name__
    advice = ADVICE.get(error.errno or 0, "")
    return MachineError("G502", f"cannot {action} {shown(path)}: {said}", notes=[advice] if advice else [])


def shown(path: Path | str) -> str:
    """A path as text that any terminal can print on one line."""
    text = str(path)
    if text.isascii() and text.isprintable():
        return text
    return text.encode("utf-8", "backslashreplace").decode("utf-8").translate(CONTROLS)


def brief(text: str, most: int = LONGEST_SHOWN) -> str:
    """A name or a remark that may be endless, as text for a message: its middle is left out where it is long."""
    return shown(text if len(text) <= most else f"{text[: most // 2]}…{text[-most // 2 :]}")


def composed(name: str) -> str:
    """A name with its accents written in one way (NFC). One of more than `LONGEST_NAME` characters stays as it is: the
    time in which marks are sorted grows with the square of how many stand in a row."""
    return unicodedata.normalize("NFC", name) if len(name) <= LONGEST_NAME else name


def printable(text: str) -> str:
    """Lines of text without characters that would steer a terminal, or that no file can hold."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8").translate(IN_TEXTS)


def why_missing(path: Path | str) -> list[str]:
    """What may be wrong with a path where nothing is."""
    return [] if CONTROLS.keys().isdisjoint(map(ord, str(path))) else [ESCAPED]


def keep_inputs(outputs: Iterable[Path | str | None], inputs: Iterable[Path | str | None]) -> None:
    """A SpecError where something would be written over what is read, or over something else that is written."""
    read = {os.path.realpath(os.fspath(each)) for each in inputs if each and os.path.exists(each)}
    written: set[str] = set()
    for output in (os.fspath(each) for each in outputs if each):
        place = os.path.realpath(output)
        if place in read:
            raise SpecError("G350", f"{shown(output)} would be written over what is read: name another file")
        if place in written:
            raise SpecError("G350", f"{shown(output)} would be written twice: name another file")
        written.add(place)


def atomic_write(path: Path | str, data: bytes | Callable[[BinaryIO], None]) -> None:
    """Write a file beside `path` and move it there: readers see the old file or the new one, never a part.

    What killed processes have left of this file is removed.
    """
    path = Path(path)
    try:
        _check_place(path)
        with _temporary_beside(path) as (handle, name):
            with os.fdopen(handle, "wb") as file:
                set_permissions(file.fileno(), path)
                if isinstance(data, bytes):
                    file.write(data)
                else:
                    data(file)
                file.flush()
                os.fsync(file.fileno())
            replace(name, path)
        sync_folder(path.parent)
    except OSError as error:
        raise machine_error("write", path, error) from error
    _remove_leftovers_of(path)


def identity(path: Path) -> tuple[int, int] | None:
    """Which file is there: another one as soon as something was moved into its place."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


EARLY_BYTES = 1 << 23
"""Of a large file, after which the disk is set to work."""


def write_parts(file: BinaryIO, parts: Iterable[Any]) -> None:
    """Write buffers of bytes one after the other, the disk at work meanwhile: of 0.04 s that `fsync` takes for 100 MB
    it leaves 0.01."""
    begun = written = 0
    for part in parts:
        written += file.write(part)
        if written - begun >= EARLY_BYTES:
            file.flush()
            begin_writing(file.fileno(), begun, written - begun)
            begun = written


def _check_place(path: Path) -> None:
    """An error where the move would take the place of a folder, or of a device or a pipe: `-o /dev/null`."""
    if not path.name:
        raise MachineError("G502", f"cannot write {shown(path)}: it is a folder; name a file")
    if path.is_dir() and not path.is_symlink():  # before what is written with it
        raise machine_error("write", path, IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR)))
    if is_reserved(path) or is_stream(path) or (path.exists() and not path.is_file() and not path.is_dir()):
        raise MachineError("G502", f"cannot write {shown(path)}: it is a device or a pipe; name a file")


LONGEST = 100
"""Characters of a file's name that its temporary files keep."""
TEMPORARY = re.compile(r"\.(.+)\.(\d+)\.\w{8}\.tmp", re.ASCII | re.DOTALL)
"""The name of a temporary file: of which file, and of which process."""


def make_folder(path: Path) -> None:
    """Make a folder, and those that it lies in, where they are not there; afterwards they outlast a power cut.
    OSError as of `Path.mkdir`."""
    missing = [each for each in (path, *path.parents) if not each.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for each in missing:
        sync_folder(each.parent)


def remove(path: Path) -> None:
    """Remove a file, where it is there."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise machine_error("remove", path, error) from None


def remove_leftovers(folder: Path, written: Callable[[str], bool], *, of_the_living: bool = False) -> None:
    """Remove the temporary files that killed processes have left in a folder, of the files there that are `written`.

    `of_the_living`: also those of processes that still are, for who knows that none of them writes there.
    """
    try:
        paths = list(folder.iterdir())
    except OSError as error:
        raise machine_error("read", folder, error) from None
    for path in paths:
        match = TEMPORARY.fullmatch(path.name)
        if match and written(match[1]) and (of_the_living or not is_alive(int(match[2]))):
            remove(path)


_left: dict[Path, list[tuple[str, Path]]] = {}
"""By folder, what killed processes had left there when this process first wrote in it: of which file, and where."""


def _remove_leftovers_of(path: Path) -> None:
    """A folder is listed once a process, however many files are written in it. What cannot be removed stays."""
    folder = path.parent.absolute()
    with contextlib.suppress(OSError):
        if folder not in _left:
            matches = ((TEMPORARY.fullmatch(each.name), each) for each in folder.iterdir())
            _left[folder] = [(match[1], each) for match, each in matches if match and not is_alive(int(match[2]))]
        for name, each in _left[folder]:
            if name == path.name[:LONGEST]:
                each.unlink(missing_ok=True)


@contextlib.contextmanager
def _temporary_beside(path: Path) -> Iterator[tuple[int, str]]:
    """A new file in the folder of `path`, for the caller to close, which is gone again after an error or Ctrl-C, at
    whatever moment it comes: the name is known before the file is there."""
    name = str(path.with_name(f".{path.name[:LONGEST]}.{os.getpid()}.{os.urandom(4).hex()}.tmp"))
    try:
        yield open_new(name), name
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise


MOST_MORE = 2**24
"""Bytes that are read beyond a file's size."""


def read_limited(path: Path | str, limit: int, error: type[GraphcError] = SpecError, code: str = "G101") -> bytes:
    """The bytes of a plain file of at most `limit` bytes; `error` where it is none, or larger.

    Devices and pipes are refused without being read.
    """
    with open_regular(path, error, code) as file:
        return read_open(file, path, limit, error, code)


def read_open(file: BinaryIO, path: Path | str, limit: int, error: type[GraphcError], code: str) -> bytes:
    """The bytes of a plain file that is open as `for_reading`; `path` is what messages call it."""
    size = os.fstat(file.fileno()).st_size
    if size <= limit:
        data = file.read(size + 1)  # what is asked for is allocated before it is read
        if len(data) > size:  # it grows, or its size is not told
            data += file.read(min(limit - size, MOST_MORE))
        if len(data) > size + MOST_MORE:
            found = f"the file gave {MOST_MORE:,} bytes more than the {size:,} that it has"
            raise error(code, found, Place(shown(path)))
        if len(data) <= limit:
            return data
    size = max(size, limit + 1)
    raise error(code, f"the file has {size:,} bytes, the limit is {limit:,}", Place(shown(path)))


def digest_of(path: Path | str, error: type[GraphcError] = WeightsError, code: str = "G101") -> str:
    """SHA-256 of a plain file, in hexadecimal; errors as of `open_regular`."""
    with open_regular(path, error, code) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]


class _Read(io.FileIO):
    """A file that says itself that the system cannot read it: an OSError is what libraries raise, or expect, of files
    that are damaged, and it does not say which file."""

    def __init__(self, handle: int, path: Path | str) -> None:
        super().__init__(handle, "rb")
        self._path = path

    def _by(self, call: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return call(*arguments)
        except OSError as error:
            raise machine_error("read", self._path, error) from None

    def readinto(self, buffer: Any) -> Any:
        found = self._by(super().readinto, buffer)
        if found is None:  # nothing is there yet, and nobody waits for it
            raise MachineError("G502", f"cannot read {shown(self._path)}: it is no plain file")
        return found

    def readall(self) -> Any:
        return self._by(super().readall)

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        if offset or whence != os.SEEK_END:
            return super().seek(offset, whence)  # that there is no such place is for the library to say
        return int(self._by(super().seek, 0, os.SEEK_END))

    def close(self) -> None:
        self._by(super().close)


def for_reading(handle: int, path: Path | str) -> BinaryIO:
    """The file of a descriptor. A MachineError, through whatever library it is read by, where the system cannot read
    it; `path` is what messages call it."""
    return io.BufferedReader(_Read(handle, path))


def open_regular(path: Path | str, error: type[GraphcError] = SpecError, code: str = "G101") -> BinaryIO:
    """A plain file, open for reading; `error` where there is none, or a folder, a device or a pipe."""
    try:
        return for_reading(open_plain(path), path)
    except ValueError:
        what = "a NUL character" if "\0" in str(path) else "half a surrogate pair"
        raise error(code, f"the path {str(path)!r} holds {what}") from None
    except NotPlain as problem:
        raise error(code, f"expected a file, found {problem.found}", Place(shown(path))) from None
    except (FileNotFoundError, NotADirectoryError):
        raise error(code, f"there is no file {shown(path)}", Place(shown(path)), why_missing(path)) from None
    except OSError as problem:
        if problem.errno in NO_PATHS:
            raise error(code, f"cannot read {shown(path)}: {problem.strerror}") from None
        raise machine_error("read", path, problem) from None
