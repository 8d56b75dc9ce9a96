"""A Plan with its weights as a checked ONNX model, and the model as a file.

The model is kept in two parts until it is written: everything but the weights as a small protobuf, which is
cheap to check, and the weights as arrays, which then go to the file without a copy.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, ValueInfoProto, helper

import graphc
from graphc.dims import Shape
from graphc.emit.arrays import c_ordered, file_dtype, file_parts, file_size
from graphc.emit.builder import GraphBuilder, Value, lies_channels_first
from graphc.emit.front import Front, absorb, emit_front
from graphc.errors import GraphcError, RuleError, SpecError
from graphc.files import (
    LONGEST,
    atomic_write,
    digest_of,
    identity,
    machine_error,
    remove,
    remove_leftovers,
    write_parts,
)
from graphc.graph import Plan, readers_of
from graphc.passes.simplify import Inference, drop_idle, inference, simplify
from graphc.types import Array

OPSETS = range(13, 22)
LARGEST_FILE = 2**31 - 1
"""Bytes that a protobuf can have; beyond, weights go to a file of their own."""
SMALL = 1024
"""Elements of an initializer that stays in the file, and that the check sees."""


@dataclass(frozen=True)
class OnnxModel:
    """A checked model."""

    body: onnx.ModelProto
    """All but the initializers."""
    tensors: Mapping[str, Array]
    """Initializers by name: arrays in any order of memory, often views."""

    def proto(self) -> onnx.ModelProto:
        """The whole as one protobuf, below 2 GB."""
        model = onnx.ModelProto()
        model.ParseFromString(self.serialize())
        return model

    def serialize(self) -> bytes:
        return b"".join(bytes(part) for part in pieces(self.body, self.inline())[1])

    @property
    def size(self) -> int:
        """Bytes of the model."""
        return pieces(self.body, self.inline())[0]

    def inline(self) -> list[Piece]:
        """The initializers with their data."""
        return [inline(name, array) for name, array in self.tensors.items()]


def emit(
    plan: Plan,
    params: Mapping[str, Array],
    *,
    opset: int = 17,
    ir_version: int | None = None,
    layout: str = "nhwc",
    output_layout: str = "nchw",
    fold: bool = True,
    outputs: Mapping[str, str] | None = None,
    metadata: Mapping[str, str] | None = None,
    fronts: Mapping[str, Front] | None = None,
    overwrite: bool = False,
) -> OnnxModel:
    """The plan with these weights (by full name, each in its own shape) as a checked model.

    Image inputs are N H W C with one Transpose behind each, or N C H W with layout="nchw"; image outputs are
    N C H W, or N H W C with output_layout="nhwc" and one Transpose before each. Without `fold` batch norms stay
    as they are. `outputs` (name -> node) replaces the graph's own. `metadata` is added to the file's.
    `fronts`: preprocessing by input name. With `overwrite` the arrays in `params` are the model's: what is folded is
    written over them.
    """
    fronts = dict(fronts or {})
    if fronts and layout != "nhwc":
        raise SpecError("G322", "preprocessing reads images N H W C: --with-preprocess goes with --layout nhwc")
    ir_version = _versions(opset, ir_version)
    graph = inference(plan, params, outputs, overwrite=overwrite)
    graph = simplify(graph) if fold else drop_idle(graph)
    if fold:
        graph, fronts = absorb(graph, fronts)
    reserved = {given.name for given in plan.graph.inputs} | set(graph.outputs)
    build = GraphBuilder(plan.graph, opset, reserved, readers_of_any_order(graph))
    inputs = {each.name: placed(each.name, each.shape, layout) for each in plan.graph.inputs}
    values = input_values(build, inputs, fronts)
    given = {name: placed(name, graph.shapes[node], output_layout) for name, node in graph.outputs.items()}
    last = {name for name, value in given.items() if lies_channels_first(value.shape) and not value.channels_first}
    values.update(emit_layers(graph, build, values, last))
    produced = connect_outputs(graph, build, values, last)
    inner = [values[node.name] for node in graph.nodes if values[node.name].name not in {*produced, *inputs}]
    infos = [value_info(value, plan.graph.batch) for value in inner]
    body = helper.make_model(
        helper.make_graph(
            build.nodes,
            plan.graph.name,
            [input_info(value, plan.graph.batch, fronts.get(name)) for name, value in inputs.items()],
            [value_info(value, plan.graph.batch) for value in given.values()],
            value_info=list({info.name: info for info in infos}.values()),
        ),
        ir_version=ir_version,
        opset_imports=[helper.make_opsetid("", opset)],
        producer_name="graphc",
        producer_version=graphc.__version__,
    )
    facts = own_metadata(graph, values, layout, output_layout, fold)
    helper.set_model_props(body, dict(sorted({**facts, **(metadata or {})}.items())))
    model = OnnxModel(body, build.tensors)
    check(model)
    return model


def placed(name: str, shape: Shape, layout: str) -> Value:
    """An input or output of the graph: images and volumes as the layout says, sequences N L C."""
    return Value(name, shape, channels_first=layout == "nchw" and lies_channels_first(shape))


def input_values(build: GraphBuilder, inputs: Mapping[str, Value], fronts: Mapping[str, Front]) -> dict[str, Value]:
    """What layers read of each input: behind its preprocessing, an image N H W C or a volume behind its Transpose."""
    prepared = {name: emit_front(build, name, front) for name, front in fronts.items()}
    values = {name: replace(value, name=prepared.get(name, name)) for name, value in inputs.items()}
    for name, value in inputs.items():
        if lies_channels_first(value.shape) and not value.channels_first:
            values[name] = build.transposed_input(name, value.shape, prepared.get(name))
    return values


def own_metadata(
    graph: Inference, values: Mapping[str, Value], layout: str, output_layout: str, fold: bool
) -> dict[str, str]:
    """What every file says of itself."""
    end_points = {name: values[node].name for name, node in graph.end_points.items() if node in values}
    facts = {
        "graphc.version": graphc.__version__,
        "graphc.layout": layout,
        "graphc.fold": "true" if fold else "false",
        "graphc.end_points": json.dumps(end_points, ensure_ascii=False),
    }
    if any(lies_channels_first(graph.shapes[node]) for node in graph.outputs.values()):
        facts["graphc.output_layout"] = output_layout
    return facts


def _versions(opset: int, ir_version: int | None) -> int:
    """The IR version asked for, or 8 and what the opset needs; an error where they do not go together."""
    if opset not in OPSETS:
        raise SpecError("G322", f"opset {opset} is not supported: expected {OPSETS[0]} to {OPSETS[-1]}")
    least: int = helper.find_min_ir_version_for([helper.make_opsetid("", opset)])
    if ir_version is None:
        return max(8, least)
    if not least <= ir_version <= onnx.IR_VERSION:
        raise SpecError("G322", f"opset {opset} needs an IR version of {least} to {onnx.IR_VERSION}, got {ir_version}")
    return ir_version


def readers_of_any_order(graph: Inference) -> dict[str, bool]:
    """Of each node, whether all that read it can take a flattened image in C H W order: through elementwise
    layers into layers that permute their weights, and no output of the graph on the way."""
    readers = readers_of(graph.nodes)
    kept = set(graph.outputs.values())
    found: dict[str, bool] = {}
    for node in reversed(graph.nodes):
        found[node.name] = node.name not in kept and all(
            len(reader.inputs) == 1 and (found[reader.name] if reader.layer.elementwise else reader.layer.absorbs_order)
            for reader in readers.get(node.name, ())
        )
    return found


def emit_layers(
    graph: Inference, build: GraphBuilder, values: Mapping[str, Value], transposed: Collection[str] = ()
) -> dict[str, Value]:
    """Every layer's nodes, in order; the values by node name. `transposed`: outputs that come behind them."""
    found = dict(values)
    names = {node: name for name, node in reversed(list(graph.outputs.items())) if name not in transposed}
    for node in graph.nodes:
        build.begin(node)
        try:
            result = node.layer.emit(build, [found[name] for name in node.inputs], graph.params[node.name])
        except RuleError as error:
            raise SpecError(error.code, f"{node.name}: {error.message}", node.place) from None
        assert result.shape == graph.shapes[node.name], f"{node.name}: {result.shape} is not {graph.shapes[node.name]}"
        found[node.name] = build.end(result, names.get(node.name))
    return found


def connect_outputs(
    graph: Inference, build: GraphBuilder, values: Mapping[str, Value], transposed: set[str]
) -> set[str]:
    """Give each output its name; the names of all outputs."""
    for name, node in graph.outputs.items():
        if name in transposed or build.is_transposed_at_output(values[node]):
            build.transposed_output(values[node], name)
        elif values[node].name != name:
            build.rename(values[node].name, name)
    build.drop_unread(set(graph.outputs))
    return set(graph.outputs)


def input_info(value: Value, batch: str | int, front: Front | None) -> ValueInfoProto:
    """The declaration of an input; a preprocessed one takes raw images."""
    if front is None:
        return value_info(value, batch)
    sizes = [size if isinstance(size, int) else str(size) for size in (batch, *front.shape)]
    return helper.make_tensor_value_info(value.name, front.element, sizes)


def value_info(value: Value, batch: str | int) -> ValueInfoProto:
    """The declaration of a value; a symbolic size is named by its formula."""
    sizes = [size if isinstance(size, int) else str(size) for size in (batch, *value.inner_shape)]
    return helper.make_tensor_value_info(value.name, TensorProto.FLOAT, sizes)


@dataclass(frozen=True, slots=True)
class Piece:
    """A TensorProto as it is written: bytes, then an array's where its data are inline."""

    head: bytes
    array: Array | None = None

    @property
    def size(self) -> int:
        return len(self.head) + (0 if self.array is None else file_size(self.array))


def inline(name: str, array: Array) -> Piece:
    """A tensor of any shape with its data (field 9) in the file."""
    return Piece(_tensor(name, array).SerializeToString() + b"\x4a" + _varint(file_size(array)), array)


def _tensor(name: str, array: Array) -> TensorProto:
    return TensorProto(
        name=name, dims=array.shape, data_type=helper.np_dtype_to_tensor_dtype(np.dtype(file_dtype(array)))
    )


def _varint(number: int) -> bytes:
    """Protobuf's form of a natural number: seven bits a byte, the lowest first."""
    found = bytearray()
    while number > 127:
        found.append(number & 127 | 128)
        number >>= 7
    return bytes([*found, number])


def pieces(body: onnx.ModelProto, tensors: Sequence[Piece]) -> tuple[int, Iterator[bytes | memoryview]]:
    """The file's size, and its bytes part by part: the model's fields in the order of their numbers, as protobuf
    itself writes them, with the initializers (field 5 of the graph, itself field 7 of the model) put in."""
    first, last = onnx.ModelProto(), onnx.ModelProto()
    first.CopyFrom(body)
    for field in ("graph", "opset_import", "metadata_props"):
        first.ClearField(field)
    last.opset_import.extend(body.opset_import)
    last.metadata_props.extend(body.metadata_props)
    nodes, rest = onnx.GraphProto(), onnx.GraphProto()
    nodes.node.extend(body.graph.node)
    nodes.name = body.graph.name
    rest.input.extend(body.graph.input)
    rest.output.extend(body.graph.output)
    rest.value_info.extend(body.graph.value_info)
    start, end = nodes.SerializeToString(deterministic=True), rest.SerializeToString(deterministic=True)
    graph = len(start) + len(end) + sum(len(_tag(piece)) + piece.size for piece in tensors)
    head = first.SerializeToString(deterministic=True) + b"\x3a" + _varint(graph) + start
    tail = end + last.SerializeToString(deterministic=True)

    def parts() -> Iterator[bytes | memoryview]:
        yield head
        for piece in tensors:
            yield _tag(piece) + piece.head
            if piece.array is not None:
                yield from file_parts(piece.array)
        yield tail

    return len(head) + graph - len(start) - len(end) + len(tail), parts()


def _tag(piece: Piece) -> bytes:
    return b"\x2a" + _varint(piece.size)


def check(model: OnnxModel) -> None:
    """The checker with strict shape inference."""
    onnx.checker.check_model(light(model), full_check=True)


def light(model: OnnxModel) -> onnx.ModelProto:
    """The model with large weights declared but not there."""
    found = onnx.ModelProto()
    found.CopyFrom(model.body)
    for name, array in model.tensors.items():
        tensor = _tensor(name, array)
        if array.size <= SMALL:
            tensor.raw_data = c_ordered(array).tobytes()
            found.graph.initializer.append(tensor)
        else:
            found.graph.input.append(helper.make_tensor_value_info(name, tensor.data_type, array.shape))
    return found


def write_model(model: OnnxModel, path: str | Path, largest: int = LARGEST_FILE) -> None:
    """Write the file at once; weights that do not fit go to a second file beside it, named by its content and
    written first, so that the pair is always the old one or the new one. The data of models that were there before go,
    and what killed processes have left."""
    path = Path(path)
    before, old = data_beside(path), identity(path)
    size, parts = pieces(model.body, model.inline())
    data = {data_name(model.tensors, path)} if size > largest else set()
    try:
        for name in data:
            _, parts = pieces(model.body, write_data(model.tensors, path.with_name(name)))
        atomic_write(path, lambda file: write_parts(file, parts))
    except BaseException:
        if identity(path) == old:  # else the model that points to them is there, whatever went wrong behind that
            for name in data - before:
                path.with_name(name).unlink(missing_ok=True)
        raise
    for name in before - data:
        if _is_named_by_content(path.with_name(name)):
            remove(path.with_name(name))
    remove_leftovers(path.parent, lambda name: name == path.name[:LONGEST] or is_data_of(path, name))


def is_data_of(path: Path, name: str) -> bool:
    """Whether it is such a name as `write_model` gives the data of the model at `path`."""
    return re.fullmatch(re.escape(path.name) + r"\.[0-9a-f]{16}\.data", name) is not None


def data_beside(path: Path) -> set[str]:
    """Names of the files that may be data of models that are or were at `path`."""
    try:
        return {each.name for each in path.parent.iterdir() if is_data_of(path, each.name)}
    except (FileNotFoundError, NotADirectoryError):  # writing will say it
        return set()
    except OSError as error:
        raise machine_error("read", path.parent, error) from None


def _is_named_by_content(path: Path) -> bool:
    """Whether a file of data is as `write_data` wrote it."""
    try:
        return path.name.endswith(f".{digest_of(path)[:16]}.data")
    except GraphcError:
        return False


def data_name(tensors: Mapping[str, Array], path: Path) -> str:
    """What the file of the large arrays, of any shape, of the model at `path` is called."""
    digest = hashlib.sha256()
    for array in large_of(tensors).values():
        for part in file_parts(array):
            digest.update(part)
    return f"{path.name}.{digest.hexdigest()[:16]}.data"


def large_of(tensors: Mapping[str, Array]) -> dict[str, Array]:
    """Those, of any shape, that go to a file of their own."""
    return {name: array for name, array in tensors.items() if array.size > SMALL}


def write_data(tensors: Mapping[str, Array], place: Path) -> list[Piece]:
    """The large arrays, of any shape, in a file of their own; the tensors that point there."""
    large = large_of(tensors)
    parts = (part for array in large.values() for part in file_parts(array))
    atomic_write(place, lambda file: write_parts(file, parts))
    offset = 0
    found = []
    for name, array in tensors.items():
        if name not in large:
            found.append(inline(name, array))
            continue
        tensor = _tensor(name, array)
        tensor.data_location = TensorProto.EXTERNAL
        where = {"location": place.name, "offset": str(offset), "length": str(file_size(array))}
        for key, value in where.items():
            tensor.external_data.add(key=key, value=value)
        found.append(Piece(tensor.SerializeToString()))
        offset += file_size(array)
    return found
