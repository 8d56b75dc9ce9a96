"""Numbers of expressions where whole ones are asked for, and names that inputs, layers and outputs share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from graphc.compiler import compile_spec, plan_model
from graphc.errors import SpecError
from graphc.runtime import Session
from graphc.spec.model import read_spec_text

HEAD = "graphc: 1\nname: n\nvars: {width: 0.25, size: 8}\n"


def shape(layer: str, *settings: str) -> tuple[object, ...]:
    text = f'{HEAD}inputs: {{x: ["${{4 / 2}}", "${{size * 1.0}}", 8, 4]}}\nlayers: [relu, {layer}]\n'
    return plan_model(read_spec_text(text, settings=settings)).nodes[-1].shape


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        ('conv2d: {filters: "${64 * width}", kernel: 3}', (8, 8, 16)),
        ('conv2d: {filters: "${64 / 4}", kernel: ["${12 * width}", 1], padding: valid}', (6, 8, 16)),
        ("conv2d: {filters: 16.0, kernel: 3}", (8, 8, 16)),
        ('pad: "${8 * width}"', (12, 12, 4)),
        ('pad: {padding: [["${4 * width}", 0], [0, "${8 * width}"]]}', (9, 10, 4)),
        ('reshape: {shape: ["${1024 * width}"]}', (256,)),
        ('conv2d: {filters: "${divisible(72 * width, 16 * width)}", kernel: 1}', (8, 8, 20)),
        ('conv2d: {filters: "${divisible(10, 8)}", kernel: 1}', (8, 8, 16)),  # 8 would be more than a tenth less
        ('repeat: {times: "${8 * width}", layer: {max_pool2d: 2}}', (2, 2, 4)),
    ],
)
def test_a_whole_number_may_be_written_as_a_float(layer: str, expected: tuple[int, ...]) -> None:
    assert shape(layer) == expected


@pytest.mark.parametrize("value", ["${7 * width}", "${66 * width}", "16.5", "true"])
def test_what_is_no_whole_number_stays_an_error(value: str) -> None:
    with pytest.raises(SpecError, match="filters expects a whole number"):
        shape(
            f'conv2d: {{filters: "{value}", kernel: 3}}' if "$" in value else f"conv2d: {{filters: {value}, kernel: 3}}"
        )


@pytest.mark.parametrize(("setting", "size"), [("false", 8), ("true", 4), ("False", 8), ("0", 8), ("1", 4)])
def test_conditions_from_the_command_line(setting: str, size: int) -> None:
    assert shape('max_pool2d: {kernel: 2, when: "${width}"}', f"width={setting}")[0] == size


@pytest.mark.parametrize("setting", ["no", "off", "No", "'false'", "maybe"])
def test_a_text_is_no_condition(setting: str) -> None:
    with pytest.raises(SpecError, match="expects true or false, found"):
        shape('max_pool2d: {kernel: 2, when: "${width}"}', f"width={setting}")
    with pytest.raises(SpecError, match="expects true or false, found"):
        shape('max_pool2d: {kernel: "${2 if width else 1}"}', f"width={setting}")


def test_outputs_may_be_called_like_other_layers(tmp_path: Path) -> None:
    spec = tmp_path / "net.yaml"
    spec.write_text(
        f"{HEAD}inputs: {{x: [N, 2, 2, 1]}}\n"
        "layers: [scale: {name: a, factor: 2}, scale: {name: b, factor: 3}, scale: {name: n, factor: 5}]\n"
        "outputs: {a: b, b: a, c: n, d: n}\n"
    )
    compile_spec(spec, tmp_path / "net.onnx")
    x = np.ones((1, 2, 2, 1), np.float32)
    found = Session(tmp_path / "net.onnx").run({"x": x})
    assert {name: float(array.max()) for name, array in found.items()} == {"a": 6.0, "b": 2.0, "c": 30.0, "d": 30.0}


def test_a_layer_without_a_name_makes_way_for_an_input(tmp_path: Path) -> None:
    text = "graphc: 1\nname: n\ninputs: {relu: [N, 2, 2, 1]}\nlayers: [relu, tanh]\n"
    graph = plan_model(read_spec_text(text)).graph
    assert [node.name for node in graph.nodes] == ["relu_1", "tanh"]
    assert graph.nodes[0].inputs == ("relu",)
