"""Files written for TensorFlow and Keras, read back by the readers; `.ci/weights` reads them with the libraries."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from graphc import weights
from graphc.errors import WeightsError
from graphc.initializers import initial_values
from graphc.weights.keras_write import write_h5
from graphc.weights.tensorflow.write import write_checkpoint
from tests.test_cli import Run, graphc  # noqa: F401
from tests.zoo.slim import plan_of

RNG = np.random.default_rng(0)
MANY = {f"layer_{i}/{name}": RNG.random((2, i % 3), dtype="f4") for i in range(150) for name in ("kernel", "bias")}
ARRAYS = {**MANY, "scalar/gamma": np.float32(3), "last/depthwise_kernel": RNG.random((3, 3, 5, 1), dtype="f4")}


def read(path: Path) -> dict[str, np.ndarray]:
    with weights.open_weights(path) as file:
        return {name: file.read(name) for name in file.names}


@pytest.mark.parametrize(("write", "name"), [(write_checkpoint, "model.ckpt.index"), (write_h5, "model.h5")])
def test_what_is_written_is_read_and_is_the_same_each_time(tmp_path: Path, write, name: str) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder / name, ARRAYS)
    found = read(tmp_path / "one" / name)
    assert found.keys() == ARRAYS.keys()
    assert all(np.array_equal(found[each], ARRAYS[each]) and found[each].shape == ARRAYS[each].shape for each in found)
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


@pytest.mark.parametrize(
    ("write", "name", "told"),
    [
        (write_checkpoint, "model.ckpt", "expected a checkpoint's index, NAME.index"),
        (write_h5, "model.weights.h5", "the names of layers, NAME.h5"),
        (write_h5, "model.keras", "the names of layers, NAME.h5"),
    ],
)
def test_other_names_are_refused(tmp_path: Path, write, name: str, told: str) -> None:
    with pytest.raises(WeightsError, match=told):
        write(tmp_path / name, ARRAYS)
    with pytest.raises(WeightsError, match="lies within a layer"):
        write_h5(tmp_path / "model.h5", {"outer/inner/kernel": ARRAYS["scalar/gamma"]})
    assert not list(tmp_path.iterdir())


def test_weights_go_home_and_come_back(graphc: Run, tmp_path: Path) -> None:  # noqa: F811
    plan = plan_of("mobilenet_v1_025")
    values = initial_values(plan.variables, 0)
    weights.save(tmp_path / "ours.safetensors", values)
    for to, name in (("keras", "mobilenet_v1_025_keras.h5"), ("tf_slim", "mobilenet_v1_025_tf_slim.ckpt.index")):
        ended = graphc("weights", "export", "ours.safetensors", "--for", "mobilenet_v1_025", "--to", to)
        assert ended.code == 0, ended.err
        ended = graphc("weights", "convert", name, "--for", "mobilenet_v1_025", "-o", "back.safetensors")
        assert ended.code == 0, ended.err
        back = read(tmp_path / "back.safetensors")
        assert all(np.array_equal(back[each], values[each]) for each in values)
