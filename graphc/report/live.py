"""`graphc watch` and `graphc serve`: a spec shown again whenever one of its files is saved.

Files are looked at every 0.2 s: no library of a system's notices is needed, and editors that save by replacing a file
are seen as well.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

from graphc.compiler import plan_model
from graphc.dims import format_shape
from graphc.errors import GraphcError, Place, SpecErrors, said_once
from graphc.graph import Plan
from graphc.passes.lints import lints
from graphc.report.dashboard import serving
from graphc.report.picture.svg import css, draw_svg
from graphc.spec.model import read_spec
from graphc.spec.variables import Settings
from graphc.spec.zoo import PREFIX, find, zoo_folder

EVERY = 0.2
"""Seconds between two looks at the files."""
EDITORS: Mapping[str, str] = {
    "vscode": "vscode://file/{path}:{line}:{column}",
    "vscodium": "vscodium://file/{path}:{line}:{column}",
    "cursor": "cursor://file/{path}:{line}:{column}",
    "zed": "zed://file/{path}:{line}:{column}",
    "idea": "idea://open?file={path}&line={line}&column={column}",
}
"""Editor -> the address that opens a file at a line in it, as its makers document it."""


class Watched:
    """A spec and the files that it consists of, as they are now."""

    def __init__(self, spec: str, settings: Settings = ()) -> None:
        self.path = find(spec)
        self.settings = settings
        self.files: tuple[Path, ...] = (self.path,)
        self.plan: Plan | None = None
        self.error: GraphcError | None = None
        self.number = 0
        """Counts how often it was read."""
        self._seen: Mapping[Path, object] = {}

    def read(self) -> None:
        """Read and plan the spec; where it has an error, its files stay those that it had before."""
        self.number += 1
        self.plan = self.error = None
        self._seen = self._stamps()
        try:
            model = read_spec(self.path, self.settings)
            self.files = tuple(self._file(name) for name in model.texts)
            self._seen = self._stamps()
            self.plan = plan_model(model)
        except GraphcError as error:
            self.error = error

    def _file(self, name: str) -> Path:
        path = self.path.parent / name
        return zoo_folder() / name.rpartition(PREFIX)[2] if PREFIX in name and not path.exists() else path

    def has_changed(self) -> bool:
        return self._stamps() != self._seen

    def _stamps(self) -> dict[Path, object]:
        """When each file was written, and its size; None where it is not there at the moment."""
        found: dict[Path, object] = {}
        for path in self.files:
            found[path] = None
            with suppress(OSError):
                status = path.stat()
                found[path] = (status.st_mtime_ns, status.st_size)
        return found

    def said(self) -> str:
        """Its errors or warnings, as `check` prints them."""
        if self.error is not None:
            return str(self.error)
        assert self.plan is not None
        return "\n".join(said_once([*self.plan.warnings, *lints(self.plan)]))


def watch(watched: Watched, show: Callable[[Watched], None], rounds: int | None = None) -> None:
    """Show a spec now and after each change of its files, until Ctrl-C or so many times."""
    while rounds is None or watched.number < rounds:
        watched.read()
        show(watched)
        if rounds is not None and watched.number >= rounds:
            return
        while not watched.has_changed():
            time.sleep(EVERY)


# in a browser ----------------------------------------------------------------------------------------------


@contextmanager
def live_spec(watched: Watched, editor: str, port: int = 0) -> Iterator[str]:
    """Serve the picture and the table of a spec, on this machine alone; the page's address."""
    watched.read()

    def state() -> str:
        if watched.has_changed():
            watched.read()
        return json.dumps(state_of(watched, editor))

    page = (Path(__file__).parent / "live.html").read_text(encoding="utf-8")
    page = page.replace("{{style}}", css(on_page=True)).replace("{{title}}", escape(watched.path.name))
    answers = {"/": ("text/html", lambda: page), "/state.json": ("application/json", state)}
    with serving(answers, port) as address:
        yield address


def state_of(watched: Watched, editor: str) -> dict[str, Any]:
    """What the page shows: the picture, a row a layer, errors, and for each the address of its line."""
    plan, error = watched.plan, watched.error
    found: dict[str, Any] = {"number": watched.number, "said": [], "picture": "", "rows": [], "places": {}}
    if plan is None:
        each = error.errors if isinstance(error, SpecErrors) else [error] if error is not None else []
        found["said"] = [[str(one), address_of(one.place, editor)] for one in each]
        return found
    found["said"] = [[line, ""] for line in watched.said().splitlines()]
    found["picture"] = draw_svg(plan, style=False)
    found["rows"] = rows_of(plan)
    found["places"] = places_of(plan, editor)
    return found


def rows_of(plan: Plan) -> list[Sequence[str]]:
    """Name, kind, shape, parameters and MACs of each layer."""
    return [
        (
            each.node.name,
            each.node.layer.kind,
            format_shape(each.shape),
            f"{each.param_count:,}" if each.params else "",
            "" if not each.macs else f"{each.macs:,}",
        )
        for each in plan.nodes
    ]


def places_of(plan: Plan, editor: str) -> dict[str, str]:
    """The address of the line of each layer, and of each group that of its first layer."""
    found: dict[str, str] = {}
    for each in plan.nodes:
        address = address_of(each.node.place, editor)
        found[each.node.name] = address
        group = each.node.name
        while "/" in group:
            group = group.rpartition("/")[0]
            found.setdefault(group, address)
    for given in plan.graph.inputs:
        found[f"input {given.name}"] = address_of(given.place, editor)
    return found


def address_of(place: Place | None, editor: str) -> str:
    """The address that opens a place in an editor; empty where there is none."""
    if place is None or not place.line:
        return ""
    path = Path(place.path).absolute().as_posix()
    written = quote(path if editor == "idea" else path.lstrip("/"))
    return EDITORS[editor].format(path=written, line=place.line, column=place.column)
