"""What a shell offers after TAB: names of the zoo, layers, words, runs; None where it should offer files.

A completion is a function of what was typed so far and of the command's other arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from graphc.spec.zoo import SUFFIXES, zoo_names

Given: TypeAlias = Mapping[str, Any]
Completion: TypeAlias = Callable[[str, Given], list[str] | None]


def complete(parameter: str, typed: str, given: Given) -> list[str] | None:
    """What may stand for a command's argument or option; None: files."""
    completion = COMPLETIONS.get(parameter)
    try:
        return None if completion is None else completion(typed, given)
    except Exception:  # a spec with an error, a folder that may not be read: there is nothing to offer
        return []


def specs(typed: str, given: Given) -> list[str] | None:
    """Names of the zoo, and spec files; files of any kind where there is neither."""
    return _starting(typed, zoo_names(), _files(typed)) or None


def specs_and_words(typed: str, given: Given) -> list[str] | None:
    from graphc.report.vocabulary import words  # noqa: PLC0415  (loads NumPy)

    return _starting(typed, zoo_names(), _files(typed), sorted({word.name for word in words()})) or None


def runs(typed: str, given: Given) -> list[str] | None:
    """Folders of runs: in the folder that was typed, and in `runs`."""
    return _starting(typed, _runs_in(_folder(typed)), _runs_in(Path("runs"))) or None


def specs_and_runs(typed: str, given: Given) -> list[str] | None:
    return [*(specs(typed, given) or ()), *(runs(typed, given) or ())] or None


def layers(typed: str, given: Given) -> list[str]:
    """Layers of the spec, and the arguments of one behind its name and a dot."""
    from graphc.compiler import plan_spec  # noqa: PLC0415
    from graphc.report.explain import argument_rows  # noqa: PLC0415

    spec = given.get("spec_or_word") or given["spec"]
    nodes = {each.node.name: each.node for each in plan_spec(spec, given.get("settings") or ()).nodes}
    layer = typed.partition(".")[0]
    arguments = [f"{layer}.{name}" for name, *_ in argument_rows(nodes[layer])] if layer in nodes else []
    return _starting(typed, nodes, arguments if "." in typed else ())


def end_points(typed: str, given: Given) -> list[str]:
    from graphc.compiler import plan_spec  # noqa: PLC0415

    graph = plan_spec(given["spec"], given.get("settings") or ()).graph
    return _starting(typed, graph.end_points, (node.name for node in graph.nodes))


def nothing(typed: str, given: Given) -> list[str]:
    return []


COMPLETIONS: dict[str, Completion] = {
    "spec": specs,
    "old": specs,
    "new_spec": specs,
    "spec_or_run": specs_and_runs,
    "spec_or_word": specs_and_words,
    "layer": layers,
    "until": end_points,
    "run_folder": runs,
    "with_preprocess": runs,
    "settings": nothing,
    "columns": nothing,
    "name": nothing,
    "mean": nothing,
    "std": nothing,
}
"""Arguments and options of commands that take something else than files."""


def _starting(typed: str, *names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(name for some in names for name in some if name.startswith(typed)))


def _folder(typed: str) -> Path:
    return Path(typed.rpartition("/")[0] or ("/" if typed.startswith("/") else "."))


def _files(typed: str) -> Iterator[str]:
    """Spec files in the folder that was typed, as one would type them."""
    above = typed.rpartition("/")[0]
    for path in sorted(_folder(typed).iterdir()):
        if path.suffix in SUFFIXES:
            yield f"{above}/{path.name}" if "/" in typed else path.name


def _runs_in(folder: Path) -> list[str]:
    if not folder.is_dir():
        return []
    return [path.as_posix() for path in sorted(folder.iterdir()) if (path / "run.json").is_file()]
