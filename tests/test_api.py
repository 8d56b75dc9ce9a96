"""The Python API: what a notebook or a script uses, with the words of the command line where something is wrong."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import BaseModel

import graphc
from graphc.compiler import plan_spec
from graphc.errors import SpecError

NET: dict[str, Any] = {
    "graphc": 1,
    "name": "small",
    "vars": {"classes": 3},
    "inputs": {"image": ["N", 8, 8, 1]},
    "layers": [
        {"conv2d": {"filters": 4, "kernel": 3, "activation": "relu"}},
        "flatten",
        {"fully_connected": {"name": "logits", "units": "${classes}"}},
    ],
    "outputs": {"logits": "logits"},
}


def test_a_file_a_zoo_name_and_a_mapping_are_the_same(tmp_path: Path) -> None:
    net = graphc.load("lenet", classes=7)
    assert net.plan.shapes == plan_spec("lenet", ["classes=7"]).shapes
    (tmp_path / "net.json").write_text(json.dumps(NET), encoding="utf-8")
    assert graphc.load(tmp_path / "net.json").plan.shapes == graphc.load(NET).plan.shapes
    made = graphc.load(NET, classes=5)
    assert made.plan.shapes["logits"] == (5,)
    assert "small: 4 layers" in repr(made)


def test_what_is_shown() -> None:
    net = graphc.load(NET)
    table = net.table()
    assert table.columns[0] == "layer"
    assert [row[0] for row in table.rows] == ["conv2d", "conv2d/Relu", "flatten", "logits"]
    assert "<td>8×8×4</td>" in net._repr_html_()
    assert table.csv().splitlines()[0].startswith("layer,kind,shape")
    assert net.draw().svg.startswith("<svg")
    assert net.totals["params"] == sum(row[6] or 0 for row in table.rows)


def test_it_runs_as_onnxruntime_does(tmp_path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime")
    net = graphc.load(NET)
    images = np.random.default_rng(0).normal(size=(2, 8, 8, 1)).astype(np.float32)
    path = net.compile(tmp_path / "net.onnx")
    ours = net.run(images, keep=["flatten"])
    theirs = runtime.InferenceSession(str(path)).run(["logits"], {"image": images})[0]
    np.testing.assert_allclose(ours["logits"], theirs, atol=1e-5)
    assert ours["flatten"].shape == (2, 256)
    assert net.draw().save(tmp_path / "net.svg").read_text(encoding="utf-8").startswith("<svg")


def test_a_pydantic_model() -> None:
    class Net(BaseModel):
        graphc: int = 1
        inputs: dict[str, list[str | int]]
        layers: list[Any]

    net = graphc.load(Net(graphc=1, inputs={"image": ["N", 4]}, layers=["relu"]))
    assert net.plan.shapes["relu"] == (4,)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"layers": [{"conv2d": {"filters": 4, "kernl": 3}}]}, r"layers\[0\].conv2d.kernl: error\[G111\]"),
        ({"layers": [{"conv2d": {"filters": 0, "kernel": 3}}]}, r"layers\[0\].conv2d.filters: error\[G112\]"),
        ({"layers": ["cnv2d"]}, r"layers\[0\]: error\[G110\]"),
        ({"layer": []}, r"layer: error\[G150\]"),
        ({"layers": [object()]}, r"layers\[0\]: error\[G107\]"),
        ({"layers": [{3: 1}]}, r"layers\[0\]: error\[G106\]"),
        ({"vars": {"classes": float("nan")}}, r"vars.classes: error\[G120\]"),
        ({"expect": {"params": 1}}, r"expect.params: error\[G221\]"),
    ],
)
def test_the_place_is_the_path(change: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecError) as caught:
        graphc.load({**NET, **change})
    assert re.match(said, str(caught.value)), str(caught.value)


def test_numbers_of_numpy_are_numbers() -> None:
    net = graphc.load({**NET, "vars": {"classes": np.int64(4)}})
    assert net.plan.shapes["logits"] == (4,)


@pytest.mark.parametrize(
    ("images", "said"),
    [
        (np.zeros((1, 9, 8, 1)), r"expects the shape \[N, 8, 8, 1\], found \[1, 9, 8, 1\]"),
        (np.zeros((8, 8, 1)), r"expects the shape \[N, 8, 8, 1\]"),
        ({"picture": np.zeros((1, 8, 8, 1))}, "expects the inputs image, found picture"),
    ],
)
def test_wrong_inputs(images: Any, said: str) -> None:
    with pytest.raises(SpecError, match=said):
        graphc.load(NET).run(images)


def test_a_recipe_is_trained_and_read_again(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "data.npz", x=rng.normal(size=(24, 8, 8, 1)).astype(np.float32), y=np.arange(24) % 3)
    (tmp_path / "net.yaml").write_text(
        "graphc: 1\ninputs: {image: [N, 8, 8, 1]}\nlayers: [flatten, fully_connected: 3]\n", encoding="utf-8"
    )
    (tmp_path / "recipe.yaml").write_text(
        "recipe: 1\nmodel: net.yaml\ndata: {train: {npz: {path: data.npz}}, validation_share: 0.25}\n"
        "loss: softmax_cross_entropy\noptimizer: adam\nlearning_rate: 0.1\nbatch: 8\nepochs: 2\nshards: 1\n",
        encoding="utf-8",
    )
    run = graphc.fit(tmp_path / "recipe.yaml", tmp_path / "run", progress=False)
    assert run.curves["epoch"].tolist() == [1, 2]
    assert np.isfinite(run.curves["validation_loss"]).all()
    assert "<th>epoch</th>" in run._repr_html_()
    again = graphc.load_run(tmp_path / "run")
    out = again.model.run(rng.normal(size=(2, 8, 8, 1)).astype(np.float32))
    assert next(iter(out.values())).shape == (2, 3)
    with pytest.raises(graphc.GraphcError, match="expected the folder of a run"):
        graphc.load_run(tmp_path)


def test_importing_graphc_loads_nothing() -> None:
    code = "import sys, graphc; print(*sorted(m for m in sys.modules if m.startswith(('graphc', 'numpy', 'pydantic'))))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert found == ["graphc"]
    with pytest.raises(AttributeError):
        _ = graphc.nothing  # type: ignore[attr-defined]
    assert {"load", "fit"} <= set(dir(graphc))


@pytest.mark.parametrize(
    ("images", "keep", "said"),
    [
        ([[1, 2], [3]], (), "rows of different lengths"),
        ("abc", (), "expects numbers, found <U3"),
        (np.zeros((1, 4)) + 1j, (), "expects numbers, found complex128"),
        ([[10**400] * 4], (), "expects numbers, found object"),
        (None, (), "expects numbers, found object"),
        (np.full((1, 4), 1e300), (), "that float32 holds"),
        (np.zeros((0, 4)), (), "an example at least"),
        (np.zeros((1, 4)), ("loggits",), "has no layer 'loggits'"),
        (np.zeros((1, 4)), "logits", "found the text 'logits'"),
        ({5: np.zeros((1, 4))}, (), "found 5"),
    ],
)
def test_odd_arrays_are_said(images: Any, keep: Any, said: str) -> None:
    net = graphc.load(
        {"graphc": 1, "inputs": {"a": ["N", 4]}, "layers": [{"fully_connected": {"name": "logits", "units": 2}}]}
    )
    with pytest.raises(SpecError, match=re.escape(said)):
        net.run(images, keep)
