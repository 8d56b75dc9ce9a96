"""onnxruntime-web as npm has it: the files of it that a page needs, each one as it was when the page was tried with it.

graphc ships none of it and fetches nothing: `npm pack onnxruntime-web@VERSION` does, once.
"""

from __future__ import annotations

import gzip
import hashlib
import tarfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from graphc.errors import MachineError, SpecError
from graphc.files import open_regular, read_limited, shown

NAME = "onnxruntime-web"
LARGEST = 64 << 20
"""Bytes of one of its files."""
LARGEST_WHOLE = 256 << 20
"""Bytes of all of them, unpacked."""
HEADERS = 2 << 20
"""Bytes of an archive's headers."""


@dataclass(frozen=True, slots=True)
class Build:
    """One of its builds: a script, and the module and binary that this loads."""

    script: str
    module: str
    binary: str

    @property
    def files(self) -> tuple[str, str, str]:
        return self.script, self.module, self.binary


BUILDS: Mapping[tuple[str, ...], Build] = {
    ("wasm",): Build("ort.wasm.min.js", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm"),
    ("wasm", "webgpu"): Build(
        "ort.webgpu.min.js", "ort-wasm-simd-threaded.asyncify.mjs", "ort-wasm-simd-threaded.asyncify.wasm"
    ),
}
"""By the providers that a page offers; the second one is twice as large."""
RELEASES: Mapping[str, Mapping[str, str]] = {
    "1.30.0": {
        "ort.wasm.min.js": "faece07e84faa9001f5104bbe4e5c70861d06cb2376a0dea1fa0ad33a67adc81",
        "ort-wasm-simd-threaded.mjs": "e13f7f94fc51b4ca72b12faeb1ee95f4ace6dfbc8939bc718aabdc0a27c4299b",
        "ort-wasm-simd-threaded.wasm": "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
        "ort.webgpu.min.js": "7d65dad7eb4564ad98db9924a259af2e2c68ebfbdbf254fa5d728f1c5736e07a",
        "ort-wasm-simd-threaded.asyncify.mjs": "3d1c85995364bb643302fc6fd877a0c3ba5ae72401815e0f24828a53d9191e28",
        "ort-wasm-simd-threaded.asyncify.wasm": "39f9f0894d478800487ed9f7dbe92618498db320cf55c8e3d89adff8dce658da",
    },
}
"""SHA-256 of the files by release: those with which `.ci/web` has tried the page."""
NEWEST = max(RELEASES)


@dataclass(frozen=True, slots=True)
class Runtime:
    """What a page is given of onnxruntime-web."""

    version: str
    providers: tuple[str, ...]
    build: Build
    files: Mapping[str, bytes]
    """By name."""


def read_runtime(package: str | Path | None, providers: tuple[str, ...], folder: Path) -> Runtime:
    """The files for these providers out of npm's package, a folder or a .tgz; None: where npm puts it in `folder`.

    A MachineError where it is not there; a SpecError where it is no release that is known, or not as it was.
    """
    path = _found(folder) if package is None else Path(package)
    build = BUILDS[providers]
    files = _of_folder(path, build) if path.is_dir() else archived_files(path, build)
    missing = [name for name in build.files if name not in files]
    if missing:
        raise SpecError("G352", f"{shown(path)}: expected npm's package {NAME}, it has no dist/{missing[0]}")
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    for version, known in RELEASES.items():
        if all(known[name] == digest for name, digest in digests.items()):
            return Runtime(version, providers, build, files)
    tried = " and ".join(RELEASES)
    notes = [f"get it: npm pack {NAME}@{NEWEST}"]
    raise SpecError("G352", f"{shown(path)}: expected {NAME} {tried}, found files that differ from it", notes=notes)


def _found(folder: Path) -> Path:
    for path in (folder / f"{NAME}-{NEWEST}.tgz", folder / "node_modules" / NAME):
        if path.exists():
            return path
    fetch = f"npm pack {NAME}@{NEWEST}"
    message = f"a page needs {NAME} {NEWEST}, which is not part of graphc: fetch it once with `{fetch}`"
    raise MachineError("G501", message, notes=[f"it is looked for here, or name it: --runtime {NAME}-{NEWEST}.tgz"])


def _of_folder(path: Path, build: Build) -> dict[str, bytes]:
    dist = path / "dist" if (path / "dist").is_dir() else path
    names = [name for name in build.files if (dist / name).exists()]
    return {name: read_limited(dist / name, LARGEST, SpecError, "G352") for name in names}


def archived_files(path: Path, build: Build) -> dict[str, bytes]:
    """Those of a build's files that a .tgz of npm's has, by name; a SpecError where it is none, or too large."""
    wanted = {f"package/dist/{name}": name for name in build.files}
    found: dict[str, bytes] = {}
    with open_regular(path, SpecError, "G352") as file:
        try:
            unpacked = gzip.GzipFile(fileobj=file)
            with tarfile.open(fileobj=_Headers(unpacked), mode="r:") as archive:  # type: ignore[call-overload]
                for member in archive:
                    if member.offset_data + member.size > LARGEST_WHOLE:
                        raise SpecError("G352", f"{shown(path)}: expected at most {LARGEST_WHOLE:,} bytes, unpacked")
                    name = wanted.get(member.name)
                    if name is not None and member.isreg() and member.size <= LARGEST:
                        unpacked.seek(member.offset_data)
                        found[name] = unpacked.read(member.size)
                    if len(found) == len(wanted):
                        break
        except (tarfile.TarError, EOFError, zlib.error, OSError, ValueError, RecursionError) as error:
            raise SpecError("G352", f"{shown(path)}: expected npm's package {NAME} (.tgz), got: {error}") from None
    return found


class _Headers:
    """An archive of which headers alone are read, so many bytes of them: long names and other records are read whole,
    and a small archive may unpack into very large ones."""

    def __init__(self, file: gzip.GzipFile) -> None:
        self._file = file
        self._left = HEADERS
        self.seek, self.tell = file.seek, file.tell

    def read(self, count: int) -> bytes:
        self._left -= count
        if count < 0 or self._left < 0:
            raise tarfile.ReadError(f"headers of more than {HEADERS:,} bytes")
        return self._file.read(count)
