"""The zoo survives spec → ONNX → spec → ONNX bit for bit, the metadata left out of account.

A sample here; all of it, small, with GRAPHC_IMPORT=all, which is the group .ci/import.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from graphc.compiler import Emission, compile_plan, plan_model, plan_spec
from graphc.errors import GraphcError
from graphc.graph import Plan
from graphc.importers.onnx_import import Request, import_onnx
from graphc.initializers import initial_values
from graphc.runtime import Session
from graphc.spec.model import read_spec_text
from graphc.spec.zoo import zoo_names
from graphc.types import Array
from graphc.verify import choose_sizes, random_inputs

SAMPLE: dict[str, tuple[str, ...]] = {
    "cifarnet": (),
    "dcgan_generator": (),
    "lenet5": (),
    "mobilenet_v1_025": ("resolution=64",),
    "resnet20": (),
    "shufflenet_v2_x1_0": ("resolution=64",),
    "squeezenet1_1": ("resolution=64",),
}
"""Small nets that have most of what there is."""
ALL = os.environ.get("GRAPHC_IMPORT") == "all"
GIVEN = {"crnn": (32, 64)}
"""Sizes of a net's input that its own spec leaves open, and that the layers of its file need."""
ROUNDED = {"mlp_mixer_b16": 1e-6}
"""How far a net may be off, of its largest output, that does not come back bit for bit: the mean over positions becomes
a global pooling, and onnxruntime makes one operator of products and transposes that stand at other places."""
SIZES = (64, 96, 128)
"""Pixels that are tried, where a net has them as a setting."""


def settings_of(name: str) -> tuple[str, ...]:
    """The smallest size that a net takes; its own, where it takes none of these."""
    for size in SIZES:
        with suppress(GraphcError):
            plan_spec(name, (f"resolution={size}",))
            return (f"resolution={size}",)
    return ()


CHOSEN = tuple(zoo_names()) if ALL else tuple(SAMPLE)


def random_weights(plan: Plan) -> dict[str, Array]:
    """Weights as initialised, and statistics, scales and biases that do something."""
    rng = np.random.default_rng(0)
    found = initial_values(plan.variables, 0)
    for name, spec in plan.variables.items():
        if name.endswith(("moving_mean", "beta", "biases")):
            found[name] = rng.normal(0, 0.1, spec.shape).astype(np.float32)
        elif name.endswith(("moving_variance", "gamma")):
            found[name] = rng.uniform(0.75, 1.25, spec.shape).astype(np.float32)
    return found


@pytest.mark.parametrize("name", CHOSEN)
@pytest.mark.parametrize("flat", [True, False], ids=["flat", "structured"])
def test_the_zoo_comes_back(tmp_path: Path, name: str, flat: bool) -> None:
    plan = plan_spec(name, settings_of(name) if ALL else SAMPLE[name])
    inputs = random_inputs(plan, 2, 0, choose_sizes(plan, {}))
    path = tmp_path / f"{name}.onnx"
    path.write_bytes(compile_plan(plan, random_weights(plan)).serialize())
    expected = Session(path.read_bytes()).run(inputs)
    sizes = {"": GIVEN[name]} if name in GIVEN else {}
    found = import_onnx(path, Request(flat=flat, graph=True, sizes=sizes))
    back = plan_model(read_spec_text(found.text, "back.yaml"))
    results = Session(compile_plan(back, found.variables, Emission()).serialize()).run(inputs)
    assert results.keys() == expected.keys()
    for output in expected:
        allowed = ROUNDED.get(name, 0) * np.abs(expected[output]).max()
        np.testing.assert_allclose(results[output], expected[output], rtol=0, atol=allowed)


def test_a_file_gives_its_own_spec_back(tmp_path: Path) -> None:
    from graphc.compiler import compile_spec

    spec = tmp_path / "net.yaml"
    spec.write_text(
        "graphc: 1\ninputs: {x: [N, 8, 8, 3]}\nlayers: [{conv2d: {name: a, filters: 4, kernel: 3}}]  # mine\n"
    )
    compile_spec(spec, tmp_path / "net.onnx", how=Emission(fold=False))
    found = import_onnx(tmp_path / "net.onnx")
    assert found.text == spec.read_text()
    assert set(found.variables) == {"net/a/weights", "net/a/biases"}
    compile_spec(spec, tmp_path / "folded.onnx")
    assert "imported from the graph" in " ".join(import_onnx(tmp_path / "folded.onnx").said)


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A spec and its weights, which compile to what the file computes."""
    from click.testing import CliRunner

    from graphc.cli import cli
    from tests.importers.models import write_model

    monkeypatch.chdir(tmp_path)
    write_model(tmp_path, "a = Conv(x, w, b) y = Relu(a)", w=[5, 4, 3, 3], b=[5])
    runner = CliRunner()
    ended = runner.invoke(cli, ["import", "model.onnx", "-o", "net.yaml", "--weights", "net.safetensors"])
    assert ended.exit_code == 0, ended.output
    assert "wrote net.yaml and net.safetensors" in ended.output
    ended = runner.invoke(cli, ["compile", "net.yaml", "--weights", "net.safetensors"], catch_exceptions=False)
    assert ended.exit_code == 0, ended.output
