"""Specs by name: the files beside the package in a checkout, inside it once installed."""

from __future__ import annotations

from pathlib import Path

from graphc.errors import Place, SpecError, clipped, did_you_mean
from graphc.files import shown

SUFFIXES = (".yaml", ".yml", ".json")
PREFIX = "zoo/"


def zoo_folder() -> Path:
    """The folder of the specs that come with graphc."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "zoo"
    return installed if installed.is_dir() else package.parent / "specs"


def zoo_names(folder: str = "") -> list[str]:
    """Every spec of the zoo; what only others include lies in folders below it."""
    return sorted(path.stem for path in (zoo_folder() / folder).glob("*.yaml"))


def in_zoo(name: str) -> Path:
    """The path of a file of the zoo, as messages show it: short where it can be."""
    path = zoo_folder() / name
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def is_of_zoo(spec: str) -> bool:
    """Whether it begins with `zoo/`: it is of the zoo, unless there is such a file."""
    return spec.startswith(PREFIX)


def find(spec: str | Path) -> Path:
    """The file that a command line means: a path, or the name of a spec of the zoo, or `zoo/NAME` as specs call it."""
    path = Path(spec)
    text = str(spec)
    names = zoo_names()
    if is_of_zoo(text) and not path.exists():
        name = text.removeprefix(PREFIX).removesuffix(SUFFIXES[0])
        if name in names:
            return in_zoo(f"{name}.yaml")
        hint = did_you_mean(name, names, any_number=True) or " (graphc list shows the zoo)"
        message = f"there is no file {shown(path)}, and the zoo has no {clipped(name)}{hint}"
        raise SpecError("G101", message, Place(shown(path)))
    if "/" in text or path.suffix in SUFFIXES or "\0" in text or path.is_file():
        if path.stem in names and "\0" not in text and not path.exists():
            raise SpecError("G101", f"there is no file {shown(path)}; the zoo has {path.stem!r}", Place(shown(path)))
        return path
    if text not in names:
        if path.is_dir():
            return path  # whose reader says that it is a folder
        hint = did_you_mean(text, names, any_number=True) or " (graphc list shows the zoo)"
        raise SpecError("G101", f"there is no file and no zoo spec {shown(path)!r}{hint}")
    return in_zoo(f"{text}.yaml")
