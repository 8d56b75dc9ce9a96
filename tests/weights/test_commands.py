"""`graphc weights`, as one types it."""

from __future__ import annotations

import json

import numpy as np

from graphc import weights
from tests.test_cli import Run, graphc  # noqa: F401
from tests.weights import files

RNG = np.random.default_rng(0)
OURS = {
    "small/conv/weights": RNG.standard_normal((3, 3, 3, 8)).astype("f4"),
    "small/conv/BatchNorm/beta": RNG.standard_normal(8).astype("f4"),
    "small/conv/BatchNorm/moving_mean": RNG.standard_normal(8).astype("f4"),
    "small/conv/BatchNorm/moving_variance": RNG.random(8).astype("f4"),
    "small/logits/weights": RNG.standard_normal((8, 4)).astype("f4"),
    "small/logits/biases": RNG.standard_normal(4).astype("f4"),
}
SLIM = {
    **OURS,
    **{f"{name}/ExponentialMovingAverage": array + 1 for name, array in OURS.items()},
    **{f"{name}/Momentum": array for name, array in OURS.items()},
    "global_step": np.array(7),
}
TORCH = {
    "stem.0.weight": OURS["small/conv/weights"].transpose(3, 2, 0, 1).copy(),
    "stem.1.bias": OURS["small/conv/BatchNorm/beta"],
    "stem.1.running_mean": OURS["small/conv/BatchNorm/moving_mean"],
    "stem.1.running_var": OURS["small/conv/BatchNorm/moving_variance"],
    "stem.1.num_batches_tracked": np.array(3),
    "head.weight": OURS["small/logits/weights"].T.copy(),
    "head.bias": OURS["small/logits/biases"],
}
MAP = "stem.0: conv\nstem.1: conv/BatchNorm\nhead: logits\n"


def loaded(path):
    with weights.open_weights(path) as file:
        return {name: file.read(name) for name in file.names}, dict(file.metadata)


def test_show_says_what_is_in_a_file(graphc: Run, tmp_path) -> None:  # noqa: F811
    files.write_tensorflow_1(tmp_path / "w.ckpt", SLIM)
    ended = graphc("weights", "show", "w.ckpt", "--format", "json")
    assert ended.code == 0
    assert "w.ckpt: TensorFlow checkpoint, version 1, written by TensorFlow, 19 arrays" in ended.err
    rows = {row["name"]: row for row in json.loads(ended.out)}
    assert rows["small/conv/weights"] == {
        "name": "small/conv/weights",
        "shape": "3×3×3×8",
        "type": "float32",
        "numbers": 216,
        "left out": "",
    }
    assert rows["global_step"]["left out"] == "a counter of steps"
    assert rows["small/logits/biases/Momentum"]["left out"] == "the state of an optimizer"


def test_show_puts_no_control_characters_on_the_terminal(graphc: Run, tmp_path) -> None:  # noqa: F811
    files.write_torch(tmp_path / "w.pth", {"a\x1b[31m\nb": OURS["small/logits/biases"]})
    ended = graphc("weights", "show", "w.pth")
    assert (ended.code, ended.out) == (2, "")
    assert "\x1b" not in ended.err
    assert "a\\x1b[31m\\x0ab" in ended.err


def test_names_that_are_the_same_need_no_map(graphc: Run, tmp_path) -> None:  # noqa: F811
    files.write_tensorflow_2(tmp_path / "model.ckpt-7.index", SLIM)
    ended = graphc("weights", "convert", "model.ckpt-7", "--for", "small.yaml")
    assert ended.code == 0, ended.err
    assert "loaded 6 variables" in ended.err
    assert "6 left out (the state of an optimizer): small/conv/BatchNorm/beta/Momentum" in ended.err
    values, said = loaded(tmp_path / "small.safetensors")
    assert all(np.array_equal(values[name], OURS[name]) for name in OURS)
    assert said["graphc.layout"] == "HWIO"
    assert said["graphc.source"] == "model.ckpt-7: TensorFlow checkpoint, version 2"
    ended = graphc("weights", "convert", "model.ckpt-7", "--for", "small.yaml", "--ema", "-o", "ema.safetensors")
    assert "6 left out (its moving average was taken)" in ended.err
    values, _ = loaded(tmp_path / "ema.safetensors")
    assert all(np.array_equal(values[name], OURS[name] + 1) for name in OURS)


def test_a_map_gives_names_and_the_layout_is_said_in_the_file(graphc: Run, tmp_path) -> None:  # noqa: F811
    files.write_torch(tmp_path / "w.pth", TORCH)
    (tmp_path / "map.yaml").write_text(MAP)
    ended = graphc("weights", "convert", "w.pth", "--for", "small.yaml", "--map", "map.yaml")
    assert ended.code == 0, ended.err
    values, _ = loaded(tmp_path / "small.safetensors")
    assert list(values) == list(OURS)
    assert all(np.array_equal(values[name], OURS[name]) for name in OURS)
    assert graphc("compile", "small.yaml", "--weights", "small.safetensors").code == 0


def test_what_cannot_be_converted_is_said(graphc: Run, tmp_path) -> None:  # noqa: F811
    files.write_torch(tmp_path / "w.pth", {**TORCH, "head.weight": RNG.standard_normal((9, 8)).astype("f4")})
    (tmp_path / "map.yaml").write_text(MAP)
    (tmp_path / "wrong.yaml").write_text("stem.0: conv\nhead{i}: logits\n")
    arguments = ("weights", "convert", "w.pth", "--for", "small.yaml")
    for more, told in (
        ((), "error[G308]: w.pth: expected variables of small such as small/conv/weights, found such as stem.0.weight"),
        (("--partial",), "error[G308]"),
        (("--map", "map.yaml"), "small/logits/weights: expected 8×4, found 9×8"),
        (("--map", "wrong.yaml"), "wrong.yaml:2:1: error[G318]: head{i} → logits: expected the same parts"),
        (("--map", "map.yaml", "--ema"), "expected moving averages (…/ExponentialMovingAverage), found none"),
        (("--map", "map.yaml", "--partial", "-o", "w.npz"), "an .npz file cannot say how its arrays lie"),
        (("--map", "map.yaml", "-o", "w.pth"), "would be written over what is read"),
    ):
        ended = graphc(*arguments, *more)
        assert (ended.code, ended.out) == (2, ""), ended.err
        assert told in ended.err
        assert not (tmp_path / "small.safetensors").exists()
    assert graphc(*arguments, "--map", "map.yaml", "--partial").code == 0
    assert (tmp_path / "small.safetensors").exists()
