"""A spec file together with what it extends and includes, merged into one tree that keeps every place.

Paths lead downwards only, from the folder of the file that names them; `zoo/NAME`, where no such file is there,
into the zoo. Every step is opened relative to the folder before it and no step may be a symbolic link, so nothing
outside can be read, also when the folder changes meanwhile. Each file is read once.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from graphc.errors import Errors, Place, SpecError, clipped, did_you_mean
from graphc.files import NO_PATHS, for_reading, machine_error, read_limited, read_open, shown, why_missing
from graphc.spec.expressions import MAX_EVALUATED
from graphc.spec.file_forms import FILE_FORMS
from graphc.spec.overlay import OWN_KEYS, lay_own, size
from graphc.spec.source import BREAK, LIMITS, Limits, SpecList, SpecMap, Tree, decode, extent, load_text
from graphc.spec.zoo import SUFFIXES, in_zoo, zoo_folder, zoo_names
from graphc.system import NotPlain, open_below

MAX_LAID = 300_000
"""Keys that are laid over others, all files together."""
KEYS = ("graphc", *FILE_FORMS, *OWN_KEYS[1:])
"""What a spec may have."""


@dataclass(frozen=True, slots=True)
class Document:
    """A spec with its bases and includes merged in."""

    tree: SpecMap
    texts: dict[str, str]
    """Every file that was read, by its path from the spec's folder; the spec itself first. One of the zoo goes by the
    path that was written, so that the same files in a folder are the same spec."""


def read_document(path: Path | str, limits: Limits = LIMITS) -> Document:
    path = Path(path)
    return merge_document(read_limited(path, limits.file_bytes), path, limits)


def merge_document(
    text: str | bytes,
    path: Path,
    limits: Limits = LIMITS,
    unsaved: Mapping[str, str] | None = None,
    errors: Errors | None = None,
) -> Document:
    """The document of a text that stands, or would stand, at `path`.

    `unsaved` are texts that an editor has of other files, by absolute path: they are read instead of the files. With
    `errors` a wrong key, or a file that cannot be included, is kept there and left out of the document.
    """
    reader = _Reader(path.parent, limits, unsaved or {}, errors)
    tree = reader.merged(_File(shown(path.name)), text)
    return Document(tree, reader.texts)


def merge_mapping(tree: SpecMap, text: str, path: Path, limits: Limits = LIMITS) -> Document:
    """The document of a tree that no file holds; `text` is what is embedded for it."""
    reader = _Reader(path.parent, limits, {}, None)
    file = _File(path.name)
    reader.texts[file.name] = text
    return Document(reader.laid(file, tree.place.path, tree), reader.texts)


@dataclass(frozen=True, slots=True)
class _File:
    """A file that may be meant."""

    name: str
    """Its path from the spec's folder, as if the zoo lay where it was written."""
    zoo_path: str | None = None
    """Its path in the zoo; None: it lies in the spec's folder."""


@dataclass(slots=True)
class _Reader:
    folder: Path
    limits: Limits
    unsaved: Mapping[str, str]
    errors: Errors | None
    texts: dict[str, str] = field(default_factory=dict)
    trees: dict[str, SpecMap] = field(default_factory=dict)
    open: list[str] = field(default_factory=list)
    """Files on the way from the spec to the one that is being read."""
    read_bytes: int = 0
    laid_keys: int = 0
    letters: int = 0
    """Of texts with `${…}`, aliases written out."""

    def merged(self, file: _File, text: str | bytes) -> SpecMap:
        """The tree of a file, laid over all that it extends and includes."""
        name = file.name
        path = shown(self.folder / name if file.zoo_path is None else in_zoo(file.zoo_path))
        self.read_bytes += len(text)
        self.texts[name] = BREAK.sub("\n", decode(text, path))  # how lines end is no part of what is embedded
        return self.laid(file, path, load_text(self.texts[name], path, self.limits))

    def laid(self, file: _File, path: str, own: Tree) -> SpecMap:
        """A file's own tree, laid over all that it extends and includes."""
        if not isinstance(own, SpecMap):
            found = "a list" if isinstance(own, SpecList) else "text" if isinstance(own, str) else clipped(own)
            raise SpecError("G150", f"a spec is a mapping such as `graphc: 1`, found {found}", Place(path, 1, 1))
        self.letters += extent(own).letters
        if self.letters > MAX_EVALUATED:
            what = f"{MAX_EVALUATED:,} characters of texts with ${{…}}, aliases written out"
            raise SpecError("G131", f"expected at most {what}, found {self.letters:,}", own.place)
        with self.tolerating():
            check_keys(own, KEYS, "a spec")
        self.open.append(file.name)
        result = SpecMap.empty(own.place)
        for form in FILE_FORMS.values():
            for written, place in form.paths(own):
                with self.tolerating():
                    other = self.below(file, written, place)
                    self.count(size(result) + size(other), place)
                    form.merge(result, other)
        lay_own(result, own)
        self.open.pop()
        self.trees[file.name] = result
        return result

    def count(self, keys: int, place: Place) -> None:
        """Refuse files that are laid on each other in so many ways that it takes long."""
        self.laid_keys += keys
        if self.laid_keys > MAX_LAID:
            raise SpecError("G183", f"more than {MAX_LAID:,} keys of files are laid on each other", place)

    def tolerating(self) -> AbstractContextManager[None]:
        """Keep the error of what is done inside, where errors are kept."""
        return nullcontext() if self.errors is None else self.errors.collecting()

    def below(self, file: _File, written: str, place: Place) -> SpecMap:
        """The tree of the file that is `written` in a file."""
        parts = relative_parts(written, place)
        for meant in meant_by(file, parts):
            target = meant.name
            if target in self.open:
                chain = " -> ".join([*self.open[self.open.index(target) :], target])
                raise SpecError("G182", f"the files include each other: {chain}", place)
            if target in self.trees:
                return self.trees[target]
            if len(self.texts) >= self.limits.files:
                raise SpecError("G183", f"more than {self.limits.files} files are included", place)
            text = self.read(meant, place)
            if text is None:
                continue
            if self.read_bytes + len(text) > self.limits.total_bytes:
                message = f"the files together have more than {self.limits.total_bytes:,} bytes, the limit"
                raise SpecError("G183", message, place)
            return self.merged(meant, text)
        raise missing(beside(file.name, parts), parts, place)

    def read(self, file: _File, place: Place) -> bytes | None:
        """The text of a file; None where there is none."""
        name = shown(file.name)
        folder, path = (self.folder, file.name) if file.zoo_path is None else (zoo_folder(), file.zoo_path)
        if self.unsaved and (text := self.unsaved.get(str((folder / path).absolute()))) is not None:
            return text.encode()
        try:
            with for_reading(open_below(folder, path, hard_links=True), name) as opened:
                return read_open(opened, PurePosixPath(path).name, self.limits.file_bytes, SpecError, "G181")
        except SpecError as error:
            raise SpecError("G181", f"cannot include {name}: {error.message}", place) from None
        except NotPlain as error:
            raise SpecError("G181", f"cannot include {name}: expected a file, found {error.found}", place) from None
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            if error.errno in NO_PATHS:
                raise SpecError("G181", f"cannot include {name}: {error.strerror}", place) from None
            raise machine_error("read", name, error) from None


def meant_by(file: _File, parts: list[str]) -> list[_File]:
    """What a path in a file may mean, the first that is there: the file, and of `zoo/NAME` the spec of the zoo."""
    name = beside(file.name, parts)
    if file.zoo_path is not None:
        return [_File(name, beside(file.zoo_path, parts))]
    if not is_of_zoo(parts):
        return [_File(name)]
    suffix = "" if parts[-1].endswith(SUFFIXES) else SUFFIXES[0]
    own = [_File(each) for each in dict.fromkeys((name, name + suffix))]
    return [*own, _File(name + suffix, "/".join(parts[1:]) + suffix)]


def beside(name: str, parts: list[str]) -> str:
    """The path of the file that the file `name` calls by these steps."""
    return "/".join([*name.split("/")[:-1], *parts])


def is_of_zoo(parts: list[str]) -> bool:
    return len(parts) > 1 and parts[0] == "zoo"


def missing(path: str, parts: list[str], place: Place) -> SpecError:
    """The error for a path with nothing there."""
    name, names = PurePosixPath(parts[-1]), zoo_names()
    stem = name.stem if name.suffix in SUFFIXES else name.name
    message = f"cannot include {shown(path)}: there is no file"
    if is_of_zoo(parts):
        there = zoo_names("/".join(parts[1:-1]))
        instead = f": there are {', '.join(there)}" if len(parts) > 2 and there else " (graphc list shows the zoo)"
        hint = did_you_mean(stem, there, any_number=True) or instead
        message += f", and the zoo has no {clipped('/'.join([*parts[1:-1], stem]))}{hint}"
    elif stem in names:
        message += f"; the zoo has it: zoo/{stem}"
    return SpecError("G181", message, place, why_missing(path))


def relative_parts(written: str, place: Place) -> list[str]:
    """The steps of a path that leads downwards, or an error that says why it does not."""
    if "://" in written:
        raise SpecError("G180", f"expected a file, found the address {clipped(written)}: nothing is downloaded", place)
    if "\\" in written or "\0" in written:
        raise SpecError("G180", f"expected a path with /, found {clipped(written)}", place)
    parts = [part for part in written.split("/") if part not in ("", ".")]
    if written.startswith(("/", "~")) or ".." in parts or not parts:
        raise SpecError("G180", f"expected a file below this file's folder, found {clipped(written)}", place)
    return parts


def found(value: Any) -> str:
    """What stands where something else was expected, for errors."""
    return "a list" if isinstance(value, list) else "a mapping" if isinstance(value, dict) else clipped(value)


def check_keys(tree: SpecMap, known: tuple[str, ...], what: str) -> None:
    """Raise for every key that is not known."""
    errors = Errors()
    for key in tree:
        if key not in known:
            hint = "" if errors.enough else did_you_mean(key, known) or "; there are " + ", ".join(known)
            errors.add(SpecError("G150", f"{what} has no key {clipped(key)}{hint}", tree.key_places[key]))
    errors.raise_if_any()
