"""The folder of a run, and who may write in it.

recipe.json       the recipe with every setting, `fit` answered
preprocess.safetensors  what preprocessing has learned, where it is more than numbers a channel
spec/             the spec's files as they were
run.json          which spec, which data, what fixes the bits
metrics.jsonl     one line an epoch (and one every `log_steps` steps); no times, so that equal runs are equal
timing.jsonl      seconds and examples a second of each epoch
checkpoints/      the last two
best.safetensors  the weights that did best; best.onnx: compiled
lock              held by the one trainer that may write here
starting          there as long as run.json is not: all else was written by a `train` that has not begun, or was killed

Nothing here is written through a link, and nothing is removed that a run did not write.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from graphc.errors import MachineError, Place, WeightsError, clipped, counted, twice_in
from graphc.files import (
    TEMPORARY,
    atomic_write,
    machine_error,
    make_folder,
    read_limited,
    remove,
    remove_leftovers,
    shown,
)
from graphc.locks import Held, locked
from graphc.system import NotPlain, check_own, is_link, is_plain_name, open_own, sync_folder
from graphc.valid_json import dumps, lacking, loads, not_finite

LARGEST = 64_000_000
LARGEST_LOG = 2**30
MOST_NAMES = 10_000
"""Numbers of a record of the log."""
FACTS = {"spec": str, "base": str, "classes": list}
CATEGORY_IDS = "category_ids"
"""In run.json: what the training set's COCO file calls the classes; empty where there is none."""
MORE_FACTS = {"target_classes": dict, "values": dict, "bytes": list, CATEGORY_IDS: list}
"""What run.json holds, and what it may hold besides."""
FILES = ("recipe.json", "preprocess.safetensors", "run.json", "best.safetensors", "best.onnx", "starting")
"""What is written beside its place and moved there."""
LOGS = ("metrics.jsonl", "timing.jsonl")
FOLDERS = ("spec", "checkpoints", "tensorboard")
OTHERS = {"warning": str, "changes": list, "not_finite": dict}
"""What a record of the log may hold besides numbers, lists and mappings of them, and nothing."""
LONGEST_EPOCH = 1e9
"""Seconds."""
OF_RUN = "run", ("cp -rL copies a folder with what its links lead to",)
"""Whose files are no links, and what helps."""
STARTING = """\
graphc train is making this run, or was ended while it did: graphc train makes it anew.
"""


class RunFolder:
    """Paths and files of one run."""

    written = True
    """Whether this process writes in it."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.recipe = self.path / "recipe.json"
        self.preprocess = self.path / "preprocess.safetensors"
        self.spec = self.path / "spec"
        self.facts = self.path / "run.json"
        self.log = self.path / "metrics.jsonl"
        self.timing = self.path / "timing.jsonl"
        self.checkpoints = self.path / "checkpoints"
        self.best = self.path / "best.safetensors"
        self.onnx = self.path / "best.onnx"
        self.starting = self.path / "starting"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """The folder, made if need be, for this process alone; the system frees it however the process ends.

        What killed processes have left unfinished is removed. A MachineError where a file or folder that is to be
        written in is a link, or something else.
        """
        with ExitStack() as held:
            try:
                make_folder(self.path)
                held.enter_context(locked(self.path / "lock"))
                self._check_own()
                self._remove_leftovers()
            except Held as other:
                raise MachineError("G510", f"{shown(self.path)} is in use by {other.holder}") from None
            except NotPlain as found:
                raise _not_own(found, "its own to write in") from None
            except OSError as error:
                raise machine_error("write in", self.path, error) from None
            yield

    def require_new(self) -> None:
        """Refuse a folder that holds a run, or things that are not ours; what a killed start left is ours."""
        try:
            there = {path.name for path in self.path.iterdir()} if self.path.is_dir() else set()
        except OSError as error:
            raise machine_error("read", self.path, error) from None
        if "run.json" in there:
            message = f"{shown(self.path)} holds a run already: `graphc resume` goes on with it"
            raise MachineError("G511", message)
        others = {name for name in there if name != "lock" and not _is_leftover(name)}
        if others and "starting" not in there:
            found = ", ".join(sorted(map(shown, others))[:3])
            raise MachineError("G511", f"expected a new or empty folder, {shown(self.path)} holds {found}")

    def begin(self, recipe: str, spec: Mapping[str, str]) -> None:
        """Write what the run is, all but run.json, which comes last and makes the folder a run."""
        atomic_write(self.starting, STARTING.encode())
        try:
            remove(self.preprocess)
            make_folder(self.checkpoints)
            for name, text in spec.items():
                make_folder((self.spec / name).parent)
                atomic_write(self.spec / name, text.encode())
        except OSError as error:
            raise machine_error("write in", self.path, error) from None
        self.write_recipe(recipe)
        self.truncate_log(0)

    def write_recipe(self, recipe: str) -> None:
        atomic_write(self.recipe, recipe.encode())

    def write_facts(self, facts: Mapping[str, Any]) -> None:
        """Write run.json: now the folder is a run's."""
        text = (json.dumps(facts, indent=1, ensure_ascii=False) + "\n").encode()
        if len(text) > LARGEST:
            expected = f"expected a recipe, a spec and classes of at most {LARGEST:,} bytes together"
            raise WeightsError("G323", f"{expected}, found {len(text):,}", Place(shown(self.facts)))
        atomic_write(self.facts, text)
        remove(self.starting)

    def read_facts(self) -> dict[str, Any]:
        """What run.json says; an error where this is no run's folder, or one of its files lies elsewhere."""
        self._check_links()
        if not self.facts.is_file():
            notes = (
                ["`graphc train` was ended before the run began, and makes it anew"] if self.starting.exists() else []
            )
            message = "expected the folder of a run, found no run.json in it"
            raise WeightsError("G323", message, Place(shown(self.path)), notes)
        return checked_facts(read_limited(self.facts, LARGEST, WeightsError, "G323"), shown(self.facts))

    def spec_texts(self, names: Iterable[str]) -> dict[str, str]:
        """The spec's files of these names, as they are now; those that are there."""
        paths = {name: self.spec / name for name in names if all(map(is_plain_name, name.split("/")))}
        data = {name: read_limited(path, LARGEST) for name, path in paths.items() if os.path.isfile(path)}
        return {name: text.decode(errors="replace") for name, text in data.items()}

    def append_changes(self, step: int, changes: Sequence[str]) -> None:
        """A line that says with which changes the run goes on."""
        _append(self.log, {"step": step, "changes": list(changes)})

    def append_log(self, record: dict[str, Any]) -> None:
        """A line; a number that is not finite is null there, and `not_finite` says what it was."""
        bad = not_finite(record)
        _append(self.log, {**record, "not_finite": bad} if bad else record)

    def append_timing(self, record: Mapping[str, Any]) -> None:
        _append(self.timing, record)

    def log_size(self) -> int:
        """Bytes of the log, all of them safe on the disk."""
        try:
            with _appending(self.log) as file:
                os.fsync(file.fileno())
                return file.seek(0, os.SEEK_END)
        except OSError as error:
            raise machine_error("write", self.log, error) from None

    def truncate_log(self, size: int, epochs: int = 0) -> None:
        """Cut off what a killed run wrote after its last checkpoint, at which so many epochs were done."""
        try:
            with _appending(self.log) as file:
                if (found := file.seek(0, os.SEEK_END)) < size:
                    message = f"{shown(self.log)}: expected {size:,} bytes at the checkpoint, found {found:,}"
                    raise WeightsError("G324", message)
                self._check_epochs(size, epochs)
                os.ftruncate(file.fileno(), size)  # tried again where a signal comes, unlike the file's own
                os.fsync(file.fileno())
            sync_folder(self.path)
        except OSError as error:
            raise machine_error("write", self.log, error) from None

    def records(self, size: int | None = None) -> list[dict[str, Any]]:
        """The log's lines, or those in its first `size` bytes; one that a killed or running training has not finished
        does not count."""
        epochs = 0

        def wrong(record: Any) -> str:
            nonlocal epochs
            said = lacking(record, {"step": int}, {"epoch": int}) or _wrong_values(record)
            if not said and "epoch" in record:
                epochs += 1
                said = "" if record["epoch"] == epochs else f"expected epoch {epochs:,}, found {record['epoch']:,}"
            return said

        return self._lines(self.log, size, "a record with its step", wrong)

    def timings(self) -> list[tuple[int, float]]:
        """(examples, seconds) of each epoch; none where there is no such file."""
        if not self.timing.exists():
            return []

        def wrong(record: Any) -> str:
            said = lacking(record, {"examples": int, "seconds": int | float})
            return said or ("" if 0 <= record["seconds"] <= LONGEST_EPOCH else "expected seconds of an epoch")

        records = self._lines(self.timing, None, "seconds of an epoch", wrong)
        return [(record["examples"], record["seconds"]) for record in records]

    def _lines(self, path: Path, size: int | None, expected: str, wrong: Callable[[Any], str]) -> list[dict[str, Any]]:
        """The whole lines of a log, or those in its first `size` bytes; a WeightsError at the place of one of which
        something is `wrong`."""
        refuse_link(path, *OF_RUN)
        found = []
        lines = read_limited(path, LARGEST_LOG, WeightsError, "G324")[:size].split(b"\n")
        for number, line in enumerate(lines[:-1], start=1):
            try:
                record = loads(line)
                said = wrong(record)
            except ValueError as error:
                said = str(error)[:200]
            if said:
                place = Place(shown(path), number, 1)
                raise WeightsError("G324", f"expected {expected}, as graphc writes them: {shown(said)}", place)
            found.append(record)
        return found

    def _check_epochs(self, size: int, epochs: int) -> None:
        """A WeightsError where the log's first bytes are not the lines of as many epochs."""
        found = sum("epoch" in record for record in self.records(size))
        if found != epochs:
            message = f"expected the records of {counted(epochs, 'epoch')} in {size:,} bytes, found {found:,}"
            raise WeightsError("G324", message, Place(shown(self.log)))

    def _check_links(self) -> None:
        """A WeightsError where something would be read elsewhere than here."""
        for name in (*FILES, *FOLDERS):
            refuse_link(self.path / name, *OF_RUN)
        for folder, folders, files in os.walk(self.spec):
            for name in (*folders, *files):
                refuse_link(Path(folder, name), *OF_RUN)

    def _check_own(self) -> None:
        """NotPlain where something would be written elsewhere than here."""
        for name in LOGS:
            check_own(self.path / name)
        for name in FOLDERS:
            check_own(self.path / name, folder=True)
        for folder in self._folders():
            for path in list(folder.iterdir()):
                if is_link(path):
                    raise NotPlain("a symbolic link", path)

    def _folders(self) -> list[Path]:
        """Where files of ours may lie, but for the run's own."""
        below = (self.path / name for name in FOLDERS)
        return [Path(found) for folder in below for found, _, _ in os.walk(folder)]

    def _remove_leftovers(self) -> None:
        """Whoever has the lock is the only one who writes here."""
        if self.facts.exists():
            remove(self.starting)
        remove_leftovers(self.path, _is_ours, of_the_living=True)
        for folder in self._folders():
            remove_leftovers(folder, lambda name: True, of_the_living=True)


def checked_facts(text: bytes | str, name: str) -> dict[str, Any]:
    """What run.json says; a WeightsError where it is not as graphc writes it."""
    try:
        facts: Any = loads(text)
        said = lacking(facts, FACTS, MORE_FACTS)
    except ValueError as error:
        said = f"the file is not as graphc wrote it: {shown(str(error)[:200])}"
    if not said:
        said = _wrong_classes([facts["classes"], *facts.get("target_classes", {}).values()])
    if not said and not all(type(each) is int for each in facts.get(CATEGORY_IDS, ())):
        said = "expected whole numbers as ids of categories"
    if not said and not all(map(is_plain_name, facts["spec"].split("/"))):
        said = f"expected the spec's file below spec/, found {clipped(facts['spec'])}"
    if said:
        raise WeightsError("G323", said, Place(name))
    return dict(facts)


def _wrong_values(record: Mapping[str, Any]) -> str:
    """What is expected of a record of the log that it is not, in words; else nothing."""
    if record["step"] < 0:
        return "expected counts from 0 on"
    if len(record) > MOST_NAMES:
        return f"expected at most {MOST_NAMES:,} names, found {len(record):,}"
    if said := lacking(record, {}, OTHERS):
        return said
    bad = [name for name, value in record.items() if isinstance(value, str | bool) and name not in OTHERS]
    return f"expected numbers, found {clipped(record[bad[0]])} as {clipped(bad[0])}" if bad else ""


def _wrong_classes(found: Sequence[Any]) -> str:
    """What is expected of lists of classes that these are not, in words; else nothing."""
    for names in found:
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            return "expected classes in it, as graphc writes it"
        if (twice := twice_in(names)) is not None:
            return f"expected each class once, found {clipped(twice)} twice"
    return ""


def _is_ours(name: str) -> bool:
    """Of a file in a run's folder itself."""
    return name in FILES or name.startswith("best.onnx.")


def _is_leftover(name: str) -> bool:
    """Whether it is a temporary file of one of ours."""
    match = TEMPORARY.fullmatch(name)
    return match is not None and _is_ours(match[1])


def refuse_link(path: Path, owner: str, notes: Sequence[str] = ()) -> None:
    """A WeightsError where something of this `owner` would be read or written elsewhere than in its folder."""
    if is_link(path):
        message = f"expected a file or a folder of the {owner}'s own, found a symbolic link"
        raise WeightsError("G323", message, Place(shown(path)), notes)


def _not_own(found: NotPlain, expected: str) -> MachineError:
    return MachineError("G512", f"{shown(found.filename)}: expected {expected}, found {found.found}")


def _appending(path: Path) -> BinaryIO:
    """A file of the run's own, made if need be, open for appending."""
    try:
        return os.fdopen(open_own(path, "O_APPEND"), "ab")
    except NotPlain as found:
        raise _not_own(found, "a file of the run's own") from None


def _append(path: Path, record: Mapping[str, Any]) -> None:
    try:
        with _appending(path) as file:
            file.write(f"{dumps(record)}\n".encode())
    except OSError as error:
        raise machine_error("write", path, error) from None
