"""One folder a class, its name the class's: which files below a folder, or in an archive, are examples of what.

A folder that holds nothing but the folder of the classes' folders is gone through, and said. Parts of a data set
(`train` and `val`) are no classes. What is no example is left out and counted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from graphc.data.classes import class_text, look_alikes, ordered, refused_alike
from graphc.data.endings import ending_of, is_hidden, is_image, is_other_image, why_not_read
from graphc.data.left_out import LeftOut, Why
from graphc.errors import DataError, Place, counted
from graphc.files import shown

PARTS = {
    "train": ("train", "training", "trainset", "trn"),
    "validation": ("val", "valid", "validation", "valset", "dev"),
    "test": ("test", "testing", "testset", "tst"),
}
"""What folders of a recipe's sets are called."""
FILLERS = frozenset({"", "set", "data", "dataset", "image", "images", "imgs", "img", "split", "seg"})
"""Words beside them: `training_set`, `val2017`, `seg_test`."""


@dataclass(frozen=True, slots=True)
class Tree:
    """What lies below a folder or in an archive; paths from there, with `/` between parts."""

    files: list[str] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Rules:
    """How a tree becomes classes."""

    where: str
    """What messages call the folder or archive."""
    written: Callable[[str], str]
    """How the recipe would name a folder of the tree."""
    known: Sequence[str] = ()
    """The training set's classes, where there are any."""
    skip: bool = False
    """Whether a class without an image that can be read is left out, rather than an error."""


@dataclass(frozen=True, slots=True)
class Classes:
    """The examples of a tree."""

    names: tuple[str, ...]
    paths: tuple[str, ...]
    labels: tuple[int | None, ...]
    notes: tuple[str, ...]


def without_classes(tree: Tree, left: LeftOut) -> Classes:
    """The images of a tree, without labels."""
    paths = sorted(_images(_without_hidden(tree, left).files, left), key=_bytes)
    return Classes((), tuple(paths), (None,) * len(paths), left.notes())


def classes_of(tree: Tree, rules: Rules, left: LeftOut) -> Classes:
    """The images of a tree with their classes; an error where its folders cannot be classes."""
    tree = _without_hidden(tree, left)
    images = _images(tree.files, left)
    around = _around(images, tree.folders, rules)
    below: dict[str, list[str]] = {name: [] for name in _folders_in(around, tree.folders)}
    for path in images:
        folder, _, rest = path[len(around) :].partition("/") if path.startswith(around) else ("", "", "")
        if rest:
            below.setdefault(folder, []).append(path)
        else:
            left.add(Why.NO_CLASS, path)
    folders = [name for name, paths in below.items() if paths]
    if not folders:
        raise _without_classes(images, tree, rules, left)
    _refuse_parts(folders, around, rules)
    others = _other_images(tree.files, around)
    for name in sorted(below.keys() - set(folders)):
        _leave_out(around + name, others.get(name, []), rules, left)
    texts = _class_texts(folders, rules)
    names = ordered(texts.values())
    places = {name: place for place, name in enumerate(names)}
    in_order = sorted(folders, key=lambda folder: places[texts[folder]])
    rows = [(path, label) for label, folder in enumerate(in_order) for path in sorted(below[folder], key=_bytes)]
    through = f"classes are the folders of {shown(around)} ({rules.written(around.rstrip('/'))} says so too)"
    notes = (*([through] if around else []), *left.notes())
    return Classes(names, tuple(path for path, _ in rows), tuple(label for _, label in rows), notes)


def parts_of(folders: Iterable[str]) -> dict[str, str]:
    """`train`, `validation` or `test` by folder, where folders are called as the parts of a data set are; nothing where
    they look like classes (train, car, bus)."""
    folders = list(folders)
    parts = {name: part for name in folders if (part := _part_of(name)) is not None}
    mixed = "train" in parts.values() and len(set(parts.values())) > 1
    return parts if mixed or len(parts) == len(folders) else {}


def _part_of(folder: str) -> str | None:
    words = [word for word in re.split(r"[^a-z]+", folder.casefold()) if word not in FILLERS]
    return next((part for part, names in PARTS.items() if len(words) == 1 and words[0] in names), None)


def _without_hidden(tree: Tree, left: LeftOut) -> Tree:
    """The tree without hidden files and folders; a hidden folder counts once, with all that is in it."""
    hidden: dict[str, None] = {}
    around: dict[str, str | None] = {"": None}

    def hidden_folder(folder: str) -> str | None:
        """The first hidden folder on the way to a folder, itself among them."""
        if folder not in around:
            parts = folder.split("/")
            at = next((at for at, part in enumerate(parts) if is_hidden(part)), None)
            around[folder] = None if at is None else "/".join(parts[: at + 1])
        return around[folder]

    def is_shown(folder: str) -> bool:
        if (found := hidden_folder(folder)) is not None:
            hidden[found] = None
        return found is None

    found = Tree(folders=[path for path in tree.folders if is_shown(path)])
    for path in tree.files:
        folder, _, name = path.rpartition("/")
        if not is_shown(folder):
            continue
        if is_hidden(name):
            left.add(Why.HIDDEN, path)
        else:
            found.files.append(path)
    for path in hidden:
        left.add(Why.HIDDEN_FOLDER, path)
    return found


def _images(files: Iterable[str], left: LeftOut) -> list[str]:
    found = []
    for path in files:
        if is_image(path):
            found.append(path)
        else:
            left.add(Why.OTHER_FORMAT if is_other_image(path) else Why.NO_IMAGE, path)
    return found


def _around(images: Iterable[str], folders: Iterable[str], rules: Rules) -> str:
    """The folder, with its `/`, that holds the classes' folders: nothing, or one that holds all images in folders."""
    one_of_each = {path.rpartition("/")[0]: path for path in images}  # folder: what matters is where images are
    files, others = [path.split("/") for path in one_of_each.values()], [path.split("/") for path in folders]
    known = {class_text(name) for name in rules.known}
    around: list[str] = []
    while True:
        at = len(around)
        files = [parts for parts in files if len(parts) > at + 1]
        tops = {parts[at] for parts in files}
        inside = {parts[at + 1] for parts in files if len(parts) > at + 2}
        direct = any(len(parts) == at + 2 for parts in files)
        if len(tops) != 1 or not inside or (direct and len(inside) < 2) or not known.isdisjoint(map(class_text, tops)):
            return "".join(f"{name}/" for name in around)
        top = tops.pop()
        if beside := sorted({parts[at] for parts in others if len(parts) > at} - {top}):
            message = f"expected one folder a class, found images in {shown(top)!r} alone, none in {shown(beside[0])!r}"
            note = f"where its folders are the classes, write {rules.written('/'.join([*around, top]))}"
            raise DataError("G403", message, Place(rules.where), notes=[note])
        others = [parts for parts in others if len(parts) > at + 1 and parts[at] == top]
        around.append(top)


def _folders_in(around: str, folders: Iterable[str]) -> list[str]:
    inside = (path[len(around) :].partition("/")[0] for path in folders if path.startswith(around))
    return list(dict.fromkeys(name for name in inside if name))


def _without_classes(images: Sequence[str], tree: Tree, rules: Rules, left: LeftOut) -> DataError:
    if images:
        found, notes = f"no folders, but {counted(len(images), 'image')}", ["a `list` says the classes of such"]
    else:
        found, notes = "no images" if tree.folders else "no folders", list(left.notes())
    return DataError("G403", f"expected one folder a class, found {found}", Place(rules.where), notes)


def _refuse_parts(folders: Sequence[str], around: str, rules: Rules) -> None:
    """Folders of training and of other images are no classes."""
    parts = parts_of(folders)
    if not parts or any(class_text(name) in rules.known for name in parts):
        return
    order = list(PARTS)
    names = sorted(parts, key=lambda name: (order.index(parts[name]), name))
    found = " and ".join(repr(shown(name)) for name in names)
    which = "which are parts of a data set" if len(parts) > 1 else "which is a part of a data set"
    said = ", ".join(f"{rules.written(around + name)} for `{parts[name]}`" for name in names)
    raise DataError(
        "G403", f"expected one folder a class, found {found}, {which}", Place(rules.where), notes=[f"write {said}"]
    )


def _other_images(files: Iterable[str], around: str) -> dict[str, list[str]]:
    """The images that are not read here, by the class's folder."""
    found: dict[str, list[str]] = {}
    for path in files:
        if path.startswith(around) and is_other_image(path):
            found.setdefault(path[len(around) :].partition("/")[0], []).append(path)
    return found


def _leave_out(folder: str, others: Sequence[str], rules: Rules, left: LeftOut) -> None:
    """A folder without an image that is read; where it has others its class would be lost, which is an error."""
    if others and not rules.skip:
        endings = sorted({ending_of(path) for path in others})
        message = (
            f"the class folder {shown(folder)!r} has no images that are read here, {len(others):,} in "
            f"{', '.join(endings)}: {why_not_read(endings)}"
        )
        raise DataError("G403", message, Place(rules.where), notes=["`bad_files: skip` leaves the class out"])
    left.add(Why.EMPTY, folder)


def _class_texts(folders: Sequence[str], rules: Rules) -> dict[str, str]:
    """Class names by folder; folders that would be one class on another machine, or look like one, are an error."""
    if (twins := look_alikes(folders)) is not None:
        raise DataError("G403", refused_alike(*map(shown, twins)), Place(rules.where))
    return {folder: class_text(folder) or shown(folder) for folder in folders}


def _bytes(path: str) -> bytes:
    """What paths are ordered by, the same on every machine."""
    return path.encode("utf-8", "surrogateescape")
