"""The matrix of runtimes as a page: `python -m tests.runtimes.matrix CASES RESULTS DATE` makes results.json and
docs/runtimes.md of the lines that the workers wrote.

What a runtime does wrong, or refuses, has to be explained by a row of `graphc.emit.targets.table`, and what is wrong
without an error by one that says so: what is not is on the page as that, and said at the end, as are rows that no file
shows.
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import onnx
from onnx import numpy_helper

from graphc.emit.model import OnnxModel
from graphc.emit.targets.seen import seen_nodes
from graphc.emit.targets.table import TARGETS, TROUBLES
from graphc.emit.targets.trouble import Trouble
from graphc.runtime import cuts_sums_off
from tests.runtimes.cases import NETS

HERE = Path(__file__).parent
RESULTS = HERE / "results.json"
PAGE = HERE.parents[1] / "docs" / "runtimes.md"
FORMS = ("float32", "preprocess", "float16", "int8", "int8 weights", "webgpu")
FORM_WORDS = {"preprocess": "raw bytes in", "webgpu": "`--target webgpu`"}
FEWER_DIGITS = 2e-2
"""What a row of fewer digits explains: how far they may be off, as a share of the largest value."""
FOLDERS = re.compile(r"/\S*/")
"""Of this machine, in what a runtime says."""
EFFECTS = {"wrong": "**wrong numbers, no error**", "imprecise": "fewer digits", "refused": "refused"}
ABOUT = """\
The first case of every layer kind and eight nets of the zoo ({nets}), with random weights, one example (of 8-bit \
integers 16), against NumPy; of integers against onnxruntime with exact sums. Right is within 1e-4 of the largest \
value, in float16 within 2e-2; integers within twice what onnxruntime's are off from the float file. A \
processor {processor}. WebGPU by Chromium's software adapter, which has no float16. In brackets how many files \
there are, where the time was up before a runtime had tried all."""
HEAD = """\
# Runtimes

What runtimes make of the files that graphc writes. `graphc compile --target NAME` writes the form that works there, \
where there is one, and warns of what the runtime refuses, with the layer's name and place. Of what is wrong and no \
error it warns always (G246), unless other targets were named. `graphc check --target NAME` warns without writing.

<!-- before: cp examples/digits/digits.yaml net.yaml -->
```sh
graphc compile lenet5 --target webgpu
graphc check net.yaml --target opencv --target tract
```

Made by `python -m tests.runtimes.matrix`, which `.ci/runtimes` ends with.

## What is known

| target | what meets it | what happens | instead |
|---|---|---|---|
"""


def words_of(trouble: Trouble) -> str:
    """A row of the table of what is known."""
    kind = EFFECTS[trouble.effect]
    instead = f"`--target {trouble.target}` writes {trouble.instead}" if trouble.rewrite else trouble.instead
    return f"| {trouble.target} ({trouble.tried}) | {trouble.meets} | {kind} | {instead or '-'} |\n"


def verdict(line: Mapping[str, Any], case: Mapping[str, Any]) -> str:
    """`right`, `wrong` or `refused`."""
    if "refused" in line:
        return "wrong" if str(line["refused"]).startswith("SHAPE") else "refused"
    return "right" if line["error"] <= case["tolerance"] else "wrong"


def lines_of(path: Path) -> Iterator[dict[str, Any]]:
    """What a worker wrote, but for what it only began."""
    lines = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    return (line for line in lines if "started" not in line)


def versions_of(results: Path) -> dict[str, str]:
    """Runtime -> its name and version, as its worker says it."""
    found = ((path.stem, line.get("version")) for path in results.glob("*.jsonl") for line in lines_of(path))
    return {runtime: version for runtime, version in found if version is not None}


def about() -> str:
    sizes = (f"{net} ({', '.join(settings)})" if settings else net for net, settings in NETS.items())
    return ABOUT.format(nets=", ".join(sizes), processor="without VNNI" if cuts_sums_off() else "with VNNI")


def collected(cases: Path, results: Path) -> dict[str, Any]:
    """Runtime -> form -> [how many are right, {what: how wrong}, {what: why refused}]."""
    manifest = {each["id"]: each for each in json.loads((cases / "manifest.json").read_text())}
    found: dict[str, Any] = {}
    for path in sorted(results.glob("*.jsonl")):
        lines = {line["id"]: line for line in lines_of(path)}
        forms: dict[str, list[Any]] = {}
        for name, line in lines.items():
            if name not in manifest:
                continue
            case = manifest[name]
            right = forms.setdefault(case["form"], [0, {}, {}])
            kind = verdict(line, case)
            if kind == "right":
                right[0] += 1
            elif kind == "wrong":
                right[1][case["what"]] = line["refused"] if "refused" in line else float(f"{line['error']:.1e}")
            else:
                right[2][case["what"]] = FOLDERS.sub("", line["refused"])[:120]
        found[path.stem] = forms
    return found


@dataclass(frozen=True)
class Explained:
    """Results beside the rows of the table, by runtime."""

    unexplained: dict[str, list[str]]
    """Files that it has wrong, or refuses, where no node meets a row that says so."""
    unseen: dict[str, list[str]]
    """Rows that are met by files, all of which are right, of runtimes that have tried all."""


def explained(cases: Path, cells: Mapping[str, Any]) -> Explained:
    manifest = json.loads((cases / "manifest.json").read_text())
    seen = {(each["form"], each["what"]): list(seen_nodes(read_model(cases / each["model"]))) for each in manifest}
    found = Explained({}, {})
    for runtime, forms in cells.items():
        rows = [each for each in TROUBLES if each.target in (runtime, runtime.partition("-")[0])]
        troubled: set[tuple[str, str]] = set()
        for form, (_, wrong, refused) in forms.items():
            for what, how in (*wrong.items(), *refused.items()):
                troubled.add((form, what))
                met = [row for row in rows if any(row.is_met(node) for node in seen[form, what])]
                if not any(says(row, how if what in wrong else None) for row in met):
                    found.unexplained.setdefault(runtime, []).append(f"{what}, {FORM_WORDS.get(form, form)}")
        if sum(right + len(wrong) + len(refused) for right, wrong, refused in forms.values()) < len(manifest):
            continue
        for row in (each for each in rows if each.target == runtime and not each.without_vnni):
            meet = {key for key, nodes in seen.items() if any(map(row.is_met, nodes))}
            if meet and meet.isdisjoint(troubled):
                found.unseen.setdefault(runtime, []).append(row.meets)
    return found


def says(row: Trouble, off: float | str | None) -> bool:
    """Whether a row foretells what happened: an error (None), another shape (a text), or numbers that far off."""
    if off is None or row.effect == "wrong":
        return True
    return row.effect == "imprecise" and not isinstance(off, str) and off <= FEWER_DIGITS


def read_model(path: Path) -> OnnxModel:
    body = onnx.load(path)
    tensors = {each.name: numpy_helper.to_array(each) for each in body.graph.initializer}
    del body.graph.initializer[:]
    return OnnxModel(body, tensors)


def page(results: Mapping[str, Any]) -> str:
    """docs/runtimes.md."""
    parts = [HEAD, *map(words_of, TROUBLES), "\n", "Targets: "]
    parts.append(", ".join(f"`{name}` ({words})" for name, words in TARGETS.items()) + ".\n")
    parts += _matrix(results) if results["cells"] else []
    return "".join(parts)


def _matrix(results: Mapping[str, Any]) -> Iterator[str]:
    yield f"\n## What was measured, {results['date']}\n\n"
    yield f"{results['about']}\n\n"
    columns = [FORM_WORDS.get(form, form) for form in FORMS]
    yield f"| runtime | {' | '.join(columns)} |\n|---|{'---|' * len(FORMS)}\n"
    for runtime, forms in results["cells"].items():
        cells = [_cell(forms.get(form), results["files"][form]) for form in FORMS]
        yield f"| {results['versions'].get(runtime, runtime)} | {' | '.join(cells)} |\n"
    yield "\nRight, of how many; then what is wrong, and what is refused:\n\n"
    for runtime, forms in results["cells"].items():
        for form, (_, wrong, refused) in forms.items():
            for word, some in (("wrong", wrong), ("refused", refused)):
                if some:
                    yield f"- {runtime}, {FORM_WORDS.get(form, form)}, {word}: {_listed(some)}\n"

    yield "\nWhat no row above explains yet: "
    yield f"{_by_runtime(results['unexplained'])}.\n"
    yield f"\nRows above that no file shows: {_by_runtime(results['unseen'])}.\n"


def _by_runtime(found: Mapping[str, Sequence[str]]) -> str:
    return "; ".join(f"{runtime}: {', '.join(some)}" for runtime, some in found.items()) or "none"


def _cell(found: Sequence[Any] | None, there: int) -> str:
    if found is None:
        return "-"
    right, wrong, refused = found
    tried = right + len(wrong) + len(refused)
    return f"{right} of {tried}" + (f" ({there})" if tried < there else "")


def _listed(some: Mapping[str, Any]) -> str:
    words = (f"{what} ({by:.0e})" if isinstance(by, float) else what for what, by in some.items())
    return ", ".join(words)


def main(cases: Path, results: Path, date: str) -> None:
    cells = collected(cases, results)
    files = Counter(each["form"] for each in json.loads((cases / "manifest.json").read_text()))
    found = {
        "date": date,
        "about": about(),
        "versions": versions_of(results),
        "files": files,
        "cells": cells,
        **asdict(explained(cases, cells)),
    }
    RESULTS.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    PAGE.write_text(page(found), encoding="utf-8")
    for runtime, some in found["unexplained"].items():
        print(f"no row of the table explains {runtime}: {'; '.join(some)}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
