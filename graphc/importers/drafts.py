"""Ways to write a net, each planned and compared with the file before it is taken."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from graphc.errors import GraphcError, WeightsError
from graphc.files import printable, shown
from graphc.graph import Plan
from graphc.importers.arguments import scope_of
from graphc.importers.check import (
    TOLERANCE,
    Port,
    check_inputs,
    check_values,
    difference,
    ours,
    plan_of,
    random_inputs,
    theirs,
    variables_of,
)
from graphc.importers.flat import FlatLayer, FlatNet
from graphc.importers.metadata import classes_of, described
from graphc.importers.onnx_graph import OnnxGraph
from graphc.importers.open_sizes import with_symbols
from graphc.importers.source import Source
from graphc.importers.structure.find import find_structure
from graphc.importers.structure.items import layers_of
from graphc.importers.structure.text import tree_text
from graphc.importers.write import flat_text
from graphc.runtime import Session
from graphc.types import Array

EXAMPLES = 2
LEAST_CHANGE = 1e-3
"""Of an output's largest value, between two random inputs: where one changes less, comparing it says little."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A net in one way of writing it."""

    text: str
    plan: Plan
    variables: Mapping[str, Array]
    error: float = 0.0
    """How far its outputs are from the file's, of the largest value; 0 where nobody looked."""


@dataclass
class Drafts:
    """The ways to write one net."""

    source: Source
    net: FlatNet
    comments: Sequence[str]
    inputs: Sequence[Port]
    outputs: Sequence[Port]
    check: bool
    _expected: dict[tuple[tuple[int, ...], ...], list[Array]] = field(default_factory=dict)
    _fixed: Mapping[str, tuple[int | str, ...]] = field(default_factory=dict)
    """The inputs in the sizes that the graph was read for, also where the spec leaves them open."""
    _session: Session | None = None
    _change: float = float("inf")

    def best(self, others: Mapping[int, tuple[int, ...]], flat: bool) -> Draft:
        """The structured form, or the flat one where that is asked for or the other is wrong. `others`: second sizes to
        compare at, by what they are multiples of."""
        draft, shapes = self._flat_form(others)
        if self._change < LEAST_CHANGE:
            self.net.notes.append(
                f"the comparison says little: between random inputs an output changes by {self._change:.1g} of its"
                " largest value"
            )
        if flat:
            return draft
        try:
            return self.structured(shapes)
        except GraphcError as error:
            self.net.notes.append(f"written flat, one line a layer: with structure {error.message}")
            return draft

    def _flat_form(
        self, others: Mapping[int, tuple[int, ...]]
    ) -> tuple[Draft, Sequence[Mapping[str, tuple[int, ...]]]]:
        """The flat form with open sizes where it can have them, or with the file's; an error where neither is right.
        And the sizes at which it was compared."""
        self._fixed = fixed = dict(self.net.inputs)
        for multiple, other in others.items():
            self.net.inputs = with_symbols(self.net, multiple, self._channels_last(other))
            shapes = self._shapes(fixed, other)
            try:
                return self.flat(shapes), shapes
            except GraphcError:
                self.net.inputs = fixed
        if others:
            self.net.notes.append(
                "the file leaves height and width open, and its layers need a size: --input says which"
            )
        shapes = self._shapes(fixed, None)
        return self.flat(shapes), shapes

    def _shapes(
        self, fixed: Mapping[str, tuple[int | str, ...]], other: tuple[int, ...] | None
    ) -> list[dict[str, tuple[int, ...]]]:
        """The sizes of inputs at which a draft is compared, channels last."""
        sizes = {name: tuple(size for size in shape[1:] if isinstance(size, int)) for name, shape in fixed.items()}
        if other is None:
            return [sizes]
        return [sizes, {self.inputs[0].ours: self._channels_last(other)}]

    def _channels_last(self, sizes: tuple[int, ...] | None) -> tuple[int, ...]:
        """Sizes of the image that is the input, in the file's order, as height, width, channels."""
        axes = self.inputs[0].axes
        return tuple(sizes[axes.index(letter) - 1] for letter in "hwc") if sizes is not None else ()

    def flat(self, shapes: Sequence[Mapping[str, tuple[int, ...]]]) -> Draft:
        """One line a layer."""
        layers = self.net.layers
        return self.made(flat_text(self.net, self.comments, scope_of(layers)), layers, shapes)

    def structured(self, shapes: Sequence[Mapping[str, tuple[int, ...]]]) -> Draft:
        """With residuals, branches, blocks and repeats."""
        tree = find_structure(self.net)
        text = tree_text(self.net, tree, self.comments)
        return self.made(text, list(layers_of(tree.layers)), shapes)

    def made(self, text: str, layers: Sequence[FlatLayer], shapes: Sequence[Mapping[str, tuple[int, ...]]]) -> Draft:
        """A text whose layers are these, in this order, planned and compared; a WeightsError where it is wrong."""
        plan = plan_of(text, self.source.path)
        variables = variables_of(plan, layers)
        if not self.check:
            return Draft(text, plan, variables)
        error = max(self._difference(plan, variables, sizes) for sizes in shapes)
        if not error <= TOLERANCE:
            message = f"the spec gives other outputs than the file: they differ by {error:.2g} of the largest value"
            raise WeightsError("G363", f"{shown(self.source.path)}: {message}; please report it")
        return Draft(text, plan, variables, error)

    def rounding(self, draft: Draft) -> float:
        """How far a draft is from the file with its rounding."""
        sizes = self._shapes(self._fixed, None)[0]
        batch = draft.plan.graph.batch
        feeds = self._feeds(sizes, batch)
        session = self.source.session([port.theirs for port in self.outputs], rounding=True)
        expected = theirs(session, self.inputs, self.outputs, feeds)
        return difference(ours(draft.plan, draft.variables, self.outputs, feeds), expected)

    def _feeds(self, sizes: Mapping[str, tuple[int, ...]], batch: int | str) -> dict[str, Array]:
        """Random inputs [N, ...] of these sizes."""
        count = batch if isinstance(batch, int) else EXAMPLES
        check_inputs(self.source.path, count, sizes.values())
        check_values(self.source.path, count, (layer.shape for layer in self.net.layers))
        return random_inputs(self.inputs, sizes, count)

    def _difference(self, plan: Plan, variables: Mapping[str, Array], sizes: Mapping[str, tuple[int, ...]]) -> float:
        batch = plan.graph.batch
        feeds = self._feeds(sizes, batch)
        key = tuple(sizes.values())
        if key not in self._expected:
            if self._session is None:
                self._session = self.source.session([port.theirs for port in self.outputs])
            self._expected[key] = theirs(self._session, self.inputs, self.outputs, feeds)
            self._change = min(self._change, self._change_of(self._expected[key], sizes))
        return difference(ours(plan, variables, self.outputs, feeds), self._expected[key])

    def _change_of(self, results: Sequence[Array], sizes: Mapping[str, tuple[int, ...]]) -> float:
        """How much the file's output that changes least, [N, ...], differs between two inputs."""
        assert self._session is not None
        if len(results[0]) > 1:
            pairs = [(each[1:2], each[:1]) for each in results]
        else:
            more = random_inputs(self.inputs, sizes, 1, seed=1)
            pairs = list(zip(theirs(self._session, self.inputs, self.outputs, more), results, strict=True))
        return min(difference([one], [other]) for one, other in pairs)


def comments(source: Source, graph: OnnxGraph, net: FlatNet) -> Iterator[str]:
    """What stands above the spec."""
    made = f" ({shown(graph.producer)})" if graph.producer else ""
    parts = [part for layer in net.layers for part in layer.parts]
    normal = any("moving_mean" in part.params for part in parts) or not any("biases" in part.params for part in parts)
    folded = "" if normal else "; batch norms, if it had any, are folded into its weights"
    yield f"Imported from {shown(source.path.name)}{made}{folded}."
    if classes := classes_of(source.facts):
        yield printable(described(classes))
