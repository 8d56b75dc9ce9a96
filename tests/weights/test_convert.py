"""A plan's variables from files with other names and layouts, and what is said of the rest."""

from __future__ import annotations

import numpy as np
import pytest
import safetensors.numpy

from graphc import weights
from graphc.errors import WeightsError
from graphc.name_rules import name_rules
from graphc.weights.convert import convert
from tests.passes.specs import plan_of

NET = """
    inputs: {image: [N, 4, 6, 3]}
    layers:
      - repeat:
          {times: 2, name: body, layer: {conv2d: {filters: 4, kernel: 3, normalizer: {batch_norm: {scale: true}}}}}
      - depthwise_conv2d: {name: dw, kernel: 3, bias: false}
      - layer_scale: {name: gain}
      - flatten
      - fully_connected: {name: logits, units: 5}
"""
RULES = name_rules(
    [
        ("layers.{i}.conv", "body/body_{i+1}"),
        ("layers.{i}.bn", "body/body_{i+1}/BatchNorm"),
        ("dw", "dw"),
        ("gain", "gain"),
        ("fc", "logits"),
    ]
)
RNG = np.random.default_rng(0)
OURS = {name: RNG.standard_normal(spec.shape).astype(np.float32) ** 2 for name, spec in plan_of(NET).variables.items()}


def of_torch(change=None):
    """As PyTorch would name and lay them out, by hand."""
    found = {}
    for i in (0, 1):
        body = f"net/body/body_{i + 1}"
        found[f"layers.{i}.conv.weight"] = OURS[f"{body}/weights"].transpose(3, 2, 0, 1)
        found[f"layers.{i}.bn.weight"] = OURS[f"{body}/BatchNorm/gamma"]
        found[f"layers.{i}.bn.bias"] = OURS[f"{body}/BatchNorm/beta"]
        found[f"layers.{i}.bn.running_mean"] = OURS[f"{body}/BatchNorm/moving_mean"]
        found[f"layers.{i}.bn.running_var"] = OURS[f"{body}/BatchNorm/moving_variance"]
        found[f"layers.{i}.bn.num_batches_tracked"] = np.array(7)
    found["dw.weight"] = OURS["net/dw/depthwise_weights"].transpose(2, 3, 0, 1)
    found["gain"] = OURS["net/gain/gamma"].reshape(1, 4, 1, 1)
    found["fc.weight"] = OURS["net/logits/weights"].reshape(4, 6, 4, 5).transpose(3, 2, 0, 1).reshape(5, -1)
    found["fc.bias"] = OURS["net/logits/biases"]
    found |= change or {}
    return {name: np.ascontiguousarray(array) for name, array in found.items() if array is not None}


def saved(path, arrays, **metadata):
    safetensors.numpy.save_file(arrays, path, metadata=metadata or {"format": "pt"})
    return path


def converted(path, rules=RULES, plan=None, **options):
    with weights.open_weights(path) as file:
        return convert(file, plan or plan_of(NET), weights.LoadOptions(rules=rules, **options))


def test_names_and_layouts_of_pytorch_become_ours(tmp_path):
    values, report = converted(saved(tmp_path / "w.safetensors", of_torch()))
    assert values.keys() == OURS.keys()
    assert all(np.array_equal(values[name], OURS[name]) for name in OURS)
    assert (report.missing, report.unused, report.mis_shaped) == ((), (), {})
    assert report.dropped == {f"layers.{i}.bn.num_batches_tracked": "a counter of batch norm" for i in (0, 1)}
    assert "2 left out (a counter of batch norm): layers.0.bn.num_batches_tracked" in report.describe()


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "model.", "module.model."])
def test_prefixes_of_wrappers_are_taken_off(tmp_path, prefix):
    arrays = {prefix + name: array for name, array in of_torch().items()}
    values, _ = converted(saved(tmp_path / "w.safetensors", arrays))
    assert all(np.array_equal(values[name], OURS[name]) for name in OURS)


def test_what_is_missing_unused_or_of_another_shape_is_said(tmp_path):
    change = {"layers.0.conv.weight": None, "fc.bias": np.zeros(6, np.float32), "aux.weight": np.zeros(3, np.float32)}
    values, report = converted(saved(tmp_path / "w.safetensors", of_torch(change)))
    assert report.missing == ("net/body/body_1/weights",)
    assert report.unused == ("aux.weight",)
    assert report.mis_shaped == {"net/logits/biases": ((5,), (6,))}
    assert len(values) == len(OURS) - 2
    with pytest.raises(WeightsError, match="expected 14 variables, found 12 of them"):
        report.raise_if_incomplete()


@pytest.mark.parametrize("partial", [False, True])
def test_a_file_of_which_nothing_fits_is_an_error(tmp_path, partial):
    from graphc.compiler import initial_or_loaded

    path = saved(tmp_path / "w.safetensors", of_torch())
    with pytest.raises(
        WeightsError, match=r"G308.*expected variables of net such as net/body.*, found such as"
    ) as error:
        initial_or_loaded(plan_of(NET), 0, path, partial=partial)
    assert "dw.weight" in str(error.value)


@pytest.mark.parametrize(
    ("spec", "name", "layer"),
    [
        (NET, "layers.0.conv.bias", "net/body/body_1"),
        (NET, "dw.weight_mask", "net/dw"),
        (NET.replace("scale: true", "scale: false"), "layers.1.bn.weight", "net/body/body_2/BatchNorm"),
    ],
)
def test_an_array_of_a_layer_that_has_no_such_variable_is_an_error(tmp_path, spec, name, layer):
    """Batch norm has no gamma unless it is told so: one that is dropped would be missed by the outputs alone."""
    change = {} if "bn" in name else {name: np.full(4, 3, np.float32)}
    _, report = converted(saved(tmp_path / "w.safetensors", of_torch(change)), plan=plan_of(spec))
    assert report.beside[name] == layer
    assert "so that their layers compute something else" in report.describe()
    with pytest.raises(WeightsError, match=r"G372.*which have no such variable") as raised:
        report.raise_if_incomplete()
    assert f"{name}: {layer} has no variable for it" in str(raised.value)


def test_what_changes_nothing_is_left_out(tmp_path):
    more = {"layers.0.conv.bias": np.zeros(4, np.float32), "fc.steps": np.array(3), "head.weight": np.ones(3, "f4")}
    _, report = converted(saved(tmp_path / "w.safetensors", of_torch(more)))
    assert report.beside == {}
    report.raise_if_incomplete()


def test_two_arrays_that_would_be_one_variable_are_an_error(tmp_path):
    path = saved(tmp_path / "w.safetensors", of_torch({"also.bias": np.zeros(5, np.float32)}))
    with pytest.raises(WeightsError, match=r"net/logits/biases: expected one array of the file, found two: also\.bias"):
        converted(path, (*RULES, *name_rules([("also", "logits")])))


def test_the_layout_is_what_the_metadata_say(tmp_path):
    """Of square kernels no shape tells it."""
    plan = plan_of("inputs: {x: [N, 5, 5, 3]}\nlayers: [conv2d: {name: c, filters: 3, kernel: 3, bias: false}]")
    array = RNG.standard_normal((3, 3, 3, 3)).astype(np.float32)
    turned = array.transpose(2, 3, 1, 0)
    for metadata, expected in (({"format": "pt"}, turned), ({"graphc.layout": "HWIO"}, array), ({"a": "b"}, array)):
        path = saved(tmp_path / "w.safetensors", {"net/c/weights": array}, **metadata)
        values, _ = converted(path, (), plan)
        assert np.array_equal(values["net/c/weights"], expected), metadata
    values, _ = converted(path, (), plan, layout="OIHW")
    assert np.array_equal(values["net/c/weights"], turned)


def test_a_file_that_lies_as_pytorchs_without_saying_so(tmp_path):
    path = saved(tmp_path / "w.safetensors", of_torch(), a="b")
    with pytest.raises(WeightsError, match="expected 14 variables, found") as raised:
        converted(path)[1].raise_if_incomplete()
    assert "graphc weights convert --layout OIHW" in "\n".join(raised.value.notes)
    values, _ = converted(path, layout="OIHW")
    assert all(np.array_equal(values[name], OURS[name]) for name in OURS)


def test_what_is_saved_with_metadata_says_its_layout(tmp_path):
    weights.save(tmp_path / "w.safetensors", OURS, {"graphc.layout": "HWIO", "graphc.source": "torchvision"})
    with weights.open_weights(tmp_path / "w.safetensors") as file:
        assert (file.layout, file.writer, file.in_order) == ("HWIO", "graphc", True)
        assert file.metadata["graphc.source"] == "torchvision"
        assert file.names == list(OURS)
    with pytest.raises(WeightsError, match=r"an \.npz file cannot say how its arrays lie"):
        weights.save(tmp_path / "w.npz", OURS, {"graphc.layout": "HWIO"})


def test_slots_of_optimizers_are_left_out_and_averages_taken_when_asked_for(tmp_path):
    slim = dict(OURS)
    for name, array in OURS.items():
        slim[f"{name}/Momentum"] = array + 1
        slim[f"{name}/ExponentialMovingAverage"] = array + 2
    slim["global_step"] = np.array(3)
    np.savez(tmp_path / "w.npz", **slim)
    values, report = converted(tmp_path / "w.npz", ())
    assert all(np.array_equal(values[name], OURS[name]) for name in OURS)
    assert report.dropped["global_step"] == "a counter of steps"
    assert report.unused == ()
    values, report = converted(tmp_path / "w.npz", (), ema=True)
    assert all(np.array_equal(values[name], OURS[name] + 2) for name in OURS)
    assert report.dropped["net/logits/biases"] == "its moving average was taken"
    np.savez(tmp_path / "w.npz", **OURS)
    with pytest.raises(WeightsError, match=r"expected moving averages \(…/ExponentialMovingAverage\), found none"):
        converted(tmp_path / "w.npz", (), ema=True)


def test_a_network_that_is_a_part_of_another_is_found_below_its_name(tmp_path):
    """`backbone.` of a detector, `net.` of a training module; what lies beside it is left out, and both is said."""
    arrays = {f"backbone.net.{name}": array for name, array in of_torch().items()}
    arrays |= {"head.fc.weight": np.ones((3, 4), "f4"), "criterion.weight": np.ones(5, "f4")}
    values, report = converted(saved(tmp_path / "w.safetensors", arrays))
    assert all(np.array_equal(values[name], OURS[name]) for name in OURS)
    assert "loaded 14 variables, from below backbone.net." in report.describe()
    assert "2 left out (beside backbone.net.): criterion.weight, head.fc.weight" in report.describe()


def test_two_networks_in_a_file_are_not_chosen_between(tmp_path):
    arrays = {f"{net}.{name}": array for net in ("student", "teacher") for name, array in of_torch().items()}
    with pytest.raises(WeightsError, match=r"several, below student., teacher.: --map says which"):
        converted(saved(tmp_path / "w.safetensors", arrays))


def test_averages_of_pytorch_are_a_network_behind_a_counter(tmp_path):
    arrays = {"n_averaged": np.array(5), **{f"module.{name}": array for name, array in of_torch().items()}}
    values, report = converted(saved(tmp_path / "w.safetensors", arrays))
    assert all(np.array_equal(values[name], OURS[name]) for name in OURS)
    assert report.dropped["n_averaged"] == "a counter of averages"
