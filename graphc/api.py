"""The Python API: `graphc.load`, `graphc.fit`, `graphc.load_run`.

    import graphc

    net = graphc.load("net.yaml", classes=10)      # or a mapping: what the YAML would say
    net.table()                                    # a table, in a notebook too
    net.draw().save("net.svg")
    net.compile("net.onnx")
    net.run(images)                                # {"logits": array [N, 10]}
    run = graphc.fit("recipe.yaml", "runs/net")
    run.curves["validation_loss"]

What goes wrong is a `GraphcError`, with the words of the command line. Arrays are NumPy's, images N H W C, float32.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from graphc.compiler import Emission, compile_plan, initial_or_loaded, plan_model
from graphc.errors import Place, SpecError, WeightsError, clipped, did_you_mean, missing_extra, once
from graphc.files import atomic_write, shown
from graphc.graph import Plan
from graphc.lazy import lazy_import
from graphc.passes.expectations import check_file_bytes, totals
from graphc.passes.lints import lints
from graphc.report.learning import draw_learning
from graphc.report.picture.draw import ENDINGS, FORMATS, draw_as
from graphc.report.show import COLUMNS, layer_row
from graphc.report.tables import pretty, render
from graphc.spec.model import ModelSpec, read_spec, read_spec_mapping
from graphc.types import Array

if TYPE_CHECKING:
    from graphc.emit import model as emit
    from graphc.execution import network
    from graphc.lazy import np
    from graphc.report.page import runs
    from graphc.train import commands, run_folder
else:
    emit = lazy_import("graphc.emit.model")
    network = lazy_import("graphc.execution.network")
    runs = lazy_import("graphc.report.page.runs")
    commands = lazy_import("graphc.train.commands")
    run_folder = lazy_import("graphc.train.run_folder")
    from graphc.lazy import np


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of data, shown as a table."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]

    def __str__(self) -> str:
        return render(self.columns, self.rows, "table")

    __repr__ = __str__

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{html.escape(name)}</th>" for name in self.columns)
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape(pretty(cell))}</td>" for cell in row) + "</tr>" for row in self.rows
        )
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"

    def csv(self) -> str:
        return render(self.columns, self.rows, "csv")


@dataclass(frozen=True, slots=True)
class Picture:
    """A network's picture, in the formats of `graphc draw`."""

    plan: Plan

    @property
    def svg(self) -> str:
        return FORMATS[".svg"](self.plan)

    def _repr_svg_(self) -> str:
        return self.svg

    def save(self, path: str | Path) -> Path:
        """Write .svg, .html, .dot or .mmd, or with the extra `plot` .pdf or .png; a SpecError where the name ends
        otherwise."""
        return _save_picture(path, ENDINGS, partial(draw_as, self.plan))


def _save_picture(path: str | Path, endings: Sequence[str], draw: Callable[[str], bytes]) -> Path:
    """Write what `draw` makes for the ending of the file's name; a SpecError where that is none of these."""
    path = Path(path)
    if path.suffix not in endings:
        raise SpecError("G333", f"expected a picture ending in {', '.join(endings)}, got {shown(path)}")
    atomic_write(path, draw(path.suffix))
    return path


@dataclass(frozen=True)
class Model:
    """A network: what a spec says, planned, with weights from a file or as initialized."""

    spec: ModelSpec
    plan: Plan
    weights: Path | None = None
    seed: int = 0
    given: Mapping[str, Array] | None = field(default=None, repr=False)
    """Weights that are there already, by full name."""

    @cached_property
    def params(self) -> Mapping[str, Array]:
        """Every variable by its full name, an array [...] in its own shape, float32."""
        return self.given if self.given is not None else initial_or_loaded(self.plan, self.seed, self.weights)[0]

    @property
    def totals(self) -> Mapping[str, int | None]:
        """params, trainable_params, macs and flops of one example; None where a size is open."""
        return totals(self.plan)

    @property
    def warnings(self) -> list[str]:
        """What `graphc check` warns of."""
        return [str(warn) for warn, _ in once([*self.plan.warnings, *lints(self.plan)])]

    def table(self) -> Table:
        """A row a layer: those of `graphc show`."""
        return Table(COLUMNS, tuple(tuple(layer_row(each)) for each in self.plan.nodes))

    def draw(self) -> Picture:
        return Picture(self.plan)

    def compile(self, output: str | Path, how: Emission | None = None) -> Path:
        """Write the ONNX file, with the weights."""
        metadata = {"graphc.spec": self.spec.source, "graphc.seed": str(self.seed)}
        made = compile_plan(self.plan, self.params, how or Emission(), metadata)
        check_file_bytes(self.plan, made.size)
        emit.write_model(made, output)
        return Path(output)

    def run(self, images: Array | Mapping[str, Array], keep: Sequence[str] = ()) -> dict[str, Array]:
        """The outputs by name, [N, ...], of arrays [N, ...]: one for a network with one input, else by input name.

        `keep` names layers whose values are wanted besides. Computed by NumPy, as in inference. A SpecError where the
        arrays are not what the network reads, or where there is no such layer.
        """
        graph = self.plan.graph
        names = [each.name for each in graph.inputs]
        if not isinstance(images, Mapping):
            if len(names) != 1:
                raise SpecError("G341", f"{graph.name} reads {', '.join(names)}: give a mapping with an array for each")
            images = {names[0]: images}
        if set(images) != set(names):
            found = ", ".join(map(str, images)) or "none"
            raise SpecError("G341", f"{graph.name} expects the inputs {', '.join(names)}, found {found}")
        inputs = {name: _numbers(name, images[name]) for name in names}
        for name in names:
            _check_shape(self.plan, name, inputs[name])
        if len({len(array) for array in inputs.values()}) > 1:
            found = ", ".join(f"{name} {len(array):,}" for name, array in inputs.items())
            raise SpecError("G343", f"expected as many examples of each input, found {found}")
        if isinstance(keep, str):
            raise SpecError("G341", f"keep expects a list of layers, found the text {clipped(keep)}")
        if unknown := [name for name in keep if name not in self.plan.shapes]:
            hint = did_you_mean(str(unknown[0]), self.plan.shapes)
            raise SpecError("G341", f"keep: {graph.name} has no layer {clipped(unknown[0])}{hint}")
        wanted = {**graph.outputs, **{name: name for name in keep}}
        values = network.evaluate(self.plan, dict(self.params), inputs, keep=list(dict.fromkeys(wanted.values())))
        return {name: values[node] for name, node in wanted.items()}

    def __repr__(self) -> str:
        sums = self.totals
        return f"<graphc.Model {self.plan.graph.name}: {len(self.plan.nodes)} layers, {sums['params']:,} parameters>"

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(repr(self)[1:-1])}</p>{self.table()._repr_html_()}"


def _numbers(name: str, given: Any) -> Array:
    """What was given for an input as float32; a SpecError where it is not numbers that float32 holds."""
    try:
        array = np.asarray(given)
    except ValueError:
        raise SpecError("G343", f"input {name} expects an array, found rows of different lengths") from None
    if array.dtype.kind not in "biuf":
        raise SpecError("G343", f"input {name} expects numbers, found {array.dtype}")
    with np.errstate(over="ignore"):
        made = array.astype(np.float32, copy=False)
    if array.dtype.itemsize > made.dtype.itemsize and not np.array_equal(np.isfinite(array), np.isfinite(made)):
        raise SpecError("G343", f"input {name} expects numbers that float32 holds, found larger ones")
    return made


def _check_shape(plan: Plan, name: str, array: Array) -> None:
    expected = plan.shapes[name]
    if array.ndim and not len(array):
        raise SpecError("G343", f"input {name} expects an example at least, found {list(array.shape)}")
    wrong = [a for a, b in zip(expected, array.shape[1:], strict=False) if isinstance(a, int) and a != b]
    if array.ndim != len(expected) + 1 or wrong:
        told = ", ".join(["N", *map(str, expected)])
        raise SpecError("G343", f"input {name} expects the shape [{told}], found {list(array.shape)}")


@dataclass(frozen=True, slots=True)
class LearningCurves:
    """A run's curves as a picture (extra: plot)."""

    curves: Mapping[str, Array] = field(repr=False)
    """Arrays [epochs] by name."""

    def _repr_png_(self) -> bytes:
        return draw_learning(self.curves, "png")

    def save(self, path: str | Path) -> Path:
        """Write .png, .pdf or .svg; a SpecError where the name ends otherwise."""
        return _save_picture(path, CURVE_ENDINGS, lambda ending: draw_learning(self.curves, ending.removeprefix(".")))


CURVE_ENDINGS = (".png", ".pdf", ".svg")


MOST_NUMBERS = 10_000_000
"""Of all curves of a run: 80 MB."""


@dataclass(frozen=True)
class Run:
    """A trained recipe's folder."""

    path: Path

    @cached_property
    def log(self) -> list[dict[str, Any]]:
        """A record an epoch."""
        return runs.read_log(run_folder.RunFolder(self.path))

    @cached_property
    def curves(self) -> dict[str, Array]:
        """Every number of the log, an array [epochs] of float64 each; NaN where an epoch has none."""
        names = dict.fromkeys(
            name for record in self.log for name, value in record.items() if isinstance(value, int | float)
        )
        if (count := len(names) * len(self.log)) > MOST_NUMBERS:
            message = f"expected at most {MOST_NUMBERS:,} numbers in the curves, found {count:,}"
            raise WeightsError("G324", message, Place(shown(run_folder.RunFolder(self.path).log)))
        return {name: np.array([record.get(name, np.nan) for record in self.log], np.float64) for name in names}

    def draw(self) -> LearningCurves:
        """The curves as a picture: shown in a notebook, or saved."""
        return LearningCurves(self.curves)

    def frame(self) -> Any:
        """The log as a pandas frame, an epoch a row (extra: notebook)."""
        try:
            import pandas  # noqa: PLC0415  (an extra)
        except ImportError:
            raise missing_extra("pandas", "notebook") from None
        return pandas.DataFrame({name: list(values) for name, values in self.curves.items()})

    @cached_property
    def model(self) -> Model:
        """The network with its best weights."""
        found = runs.read_run(str(self.path))
        return Model(found.task.spec, found.task.plan, run_folder.RunFolder(self.path).best, given=found.params)

    def table(self) -> Table:
        """The log, a row an epoch."""
        return Table(tuple(self.curves), tuple(zip(*(values.tolist() for values in self.curves.values()), strict=True)))

    def __repr__(self) -> str:
        return f"<graphc.Run {self.path}: {len(self.log)} epochs>"

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(repr(self)[1:-1])}</p>{self.table()._repr_html_()}"


def load(
    spec: str | Path | Mapping[str, Any] | BaseModel, *, weights: str | Path | None = None, **variables: Any
) -> Model:
    """A spec from a file, the zoo, a mapping or a pydantic model, with its variables set: `load("vgg_16", classes=10)`.

    In a mapping, the place of an error is the path in it: `layers[2].conv2d.kernel`. Files that it extends or includes
    are looked for in the working folder.
    """
    if isinstance(spec, BaseModel):
        spec = spec.model_dump(exclude_unset=True)
    model = read_spec_mapping(spec, variables) if isinstance(spec, Mapping) else read_spec(spec, variables)
    return Model(model, plan_model(model), None if weights is None else Path(weights))


def fit(recipe: str | Path, output: str | Path, overrides: Sequence[str] = (), *, progress: bool = True) -> Run:
    """Train a recipe into a new folder; `overrides` are `KEY=VALUE`, as of `graphc train --set`."""
    from graphc.train.progress import Silent, reporter  # noqa: PLC0415  (loads Rich)

    commands.train(recipe, output, overrides, reporter() if progress else Silent())
    return load_run(output)


def load_run(folder: str | Path) -> Run:
    """A run's folder; a SpecError or WeightsError where it is none."""
    run_folder.RunFolder(folder).read_facts()
    return Run(Path(folder))
