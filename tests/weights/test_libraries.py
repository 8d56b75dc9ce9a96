"""Files as the libraries themselves write them, and networks that compute the same; run by `.ci/weights`."""

from __future__ import annotations

import argparse
import os

import numpy as np
import pytest

from graphc import weights
from graphc.compiler import plan_spec
from graphc.conversion import export_file
from graphc.errors import WeightsError
from graphc.execution.network import evaluate
from graphc.name_rules import name_rules
from tests.zoo.slim import distance, draw, shared_facts

pytestmark = pytest.mark.filterwarnings("ignore")  # of what the libraries still use, and will not for long
FLOATS = ("float16", "bfloat16", "float32", "float64")
RESNET = name_rules(
    [
        ("conv1", "features/conv1"),
        ("bn1", "features/conv1/BatchNorm"),
        ("layer{s}.{i}.conv{c}", "features/stage{s}/unit_{i+1}/conv{c}"),
        ("layer{s}.{i}.bn{c}", "features/stage{s}/unit_{i+1}/conv{c}/BatchNorm"),
        ("layer{s}.{i}.downsample.0", "features/stage{s}/unit_{i+1}/shortcut"),
        ("layer{s}.{i}.downsample.1", "features/stage{s}/unit_{i+1}/shortcut/BatchNorm"),
        ("fc", "logits"),
    ]
)


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch", reason="of the extra torchweights")


@pytest.fixture(scope="module")
def tf():
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    return pytest.importorskip("tensorflow", reason="of the extra tfweights")


# PyTorch -------------------------------------------------------------------------------------------------------------


def check_state(path, state):
    with weights.open_weights(path) as file:
        assert file.names == list(state)
        for name, tensor in state.items():
            entry = file.entry(name)
            assert (entry.shape, entry.dtype) == (tuple(tensor.shape), str(tensor.dtype).removeprefix("torch."))
            if entry.dtype in FLOATS:
                assert np.array_equal(file.read(name), tensor.detach().float().numpy(), equal_nan=True), name


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("protocol", [2, 4])
def test_state_dictionaries_of_torch_save(torch, tmp_path, zipped, protocol):
    x = torch.randn(6, 8, 10)
    state = {
        "turned": x.transpose(0, 2),
        "part": x[::2, 1:, 3:7],
        "none": torch.zeros(0, 3),
        "scalar": torch.tensor(3.5),
        "double": x.double(),
        "half": x.half(),
        "brain": x.bfloat16(),
        "parameter": torch.nn.Parameter(torch.ones(3)),
        "flags": torch.tensor([True]),
        "numbers": torch.arange(5),
    }
    torch.save(state, tmp_path / "w.pth", pickle_protocol=protocol, _use_new_zipfile_serialization=zipped)
    check_state(tmp_path / "w.pth", state)


@pytest.mark.parametrize("zipped", [True, False])
def test_training_checkpoints_and_whole_models(torch, tmp_path, zipped):
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    adam = torch.optim.Adam(model.parameters())
    model(torch.randn(2, 3, 8, 8)).sum().backward()
    adam.step()
    whole = {
        "epoch": 3,
        "args": argparse.Namespace(lr=1),
        "state_dict": {f"module.{name}": tensor for name, tensor in model.state_dict().items()},
        "optimizer": adam.state_dict(),
    }
    torch.save(whole, tmp_path / "w.pth", _use_new_zipfile_serialization=zipped)
    with weights.open_weights(tmp_path / "w.pth") as file:
        chosen = weights.Selection(file)
        assert chosen.names == [name for name in model.state_dict() if "num_batches" not in name]
        assert np.array_equal(chosen.read("0.weight"), model[0].weight.detach().numpy())
    torch.save(model, tmp_path / "m.pth", _use_new_zipfile_serialization=zipped)
    with pytest.raises(WeightsError, match=r"Sequential: save model\.state_dict\(\) instead"):
        weights.load(tmp_path / "m.pth", {})


def randomized(torch, model):
    """With random statistics and gammas, so that every one of them matters."""
    torch.manual_seed(0)
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if name.endswith("running_var") or (tensor.ndim == 1 and name.endswith("weight")):
                tensor.uniform_(0.5, 1.5)
            elif name.endswith(("running_mean", "bias")):
                tensor.normal_(std=0.1)
    return model.eval()


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_torchvisions_resnets_compute_the_same(torch, tmp_path, name, suffix):
    torchvision = pytest.importorskip("torchvision")
    model = randomized(torch, getattr(torchvision.models, name)())
    path = tmp_path / f"w{suffix}"
    x = np.random.default_rng(0).standard_normal((2, 224, 224, 3), dtype=np.float32)
    images = torch.from_numpy(x.transpose(0, 3, 1, 2).copy())
    if suffix == ".pth":
        torch.save(model.state_dict(), path)
    else:
        pytest.importorskip("safetensors.torch").save_file(model.state_dict(), path, metadata={"format": "pt"})
    plan = plan_spec(name)
    values, report = weights.load_variables(path, plan, weights.LoadOptions(rules=RESNET))
    report.raise_if_incomplete()
    assert report.unused == ()
    found = evaluate(plan, values, {"image": x}, ["logits"])["logits"]
    with torch.no_grad():
        expected = model(images).numpy()
    assert np.abs(found.reshape(expected.shape) - expected).max() <= 1e-5 * np.abs(expected).max()


# TensorFlow and Keras ------------------------------------------------------------------------------------------------


def saved(tf, folder, version, arrays, *, parts=None, sharded=False):
    v1 = tf.compat.v1
    with v1.Graph().as_default(), v1.Session(config=v1.ConfigProto(device_count={"CPU": 3})) as session:
        for place, (name, array) in enumerate(arrays.items()):
            with v1.device(f"/cpu:{place % 3 if sharded else 0}"):
                cut = v1.fixed_size_partitioner(parts[name]) if name in (parts or {}) else None
                value = tf.constant(array if array.dtype.name != "bfloat16" else array.astype("f4"))
                value = tf.cast(value, tf.bfloat16) if array.dtype.name == "bfloat16" else value
                v1.get_variable(name, initializer=value, partitioner=cut, use_resource=False)
        session.run(v1.global_variables_initializer())
        return v1.train.Saver(write_version=version, sharded=sharded).save(session, str(folder / "model.ckpt"))


@pytest.mark.parametrize("version", [1, 2])
def test_checkpoints_of_tensorflow(tf, tmp_path, version):
    rng = np.random.default_rng(0)
    kinds = {"f4": (3, 3, 5, 7), "f8": (4, 3), "i4": (2,), "i8": (3,), "u1": (4,)}
    if version == 2:  # the first cannot hold halves
        kinds["f2"] = (5,)
    arrays = {f"net/{kind}": (rng.standard_normal(size) * 9).astype(kind) for kind, size in kinds.items()}
    arrays |= {"scalar": np.array(2.5, "f4"), "empty": np.zeros((0, 3), "f4")}
    arrays["cut"] = np.arange(40, dtype="f4").reshape(10, 4)
    if version == 2:
        arrays["brain"] = rng.standard_normal((3, 2)).astype("bfloat16")
    path = saved(tf, tmp_path, version, arrays, parts={"cut": 3})
    with weights.open_weights(path) as file:
        assert file.format == f"TensorFlow checkpoint, version {version}"
        assert sorted(file.names) == sorted(arrays)
        for name, array in arrays.items():
            assert file.entry(name).shape == array.shape
            if file.entry(name).dtype in FLOATS:
                assert np.array_equal(file.read(name), array.astype("f4")), name


def test_checkpoints_in_shards_and_of_objects(tf, tmp_path):
    arrays = {f"v{place}": np.full((100, 10), place, "f4") for place in range(4)}
    path = saved(tf, tmp_path, 2, arrays, sharded=True)
    assert len(list(tmp_path.glob("*.data-*-of-00003"))) == 3
    values, report = weights.load(path, dict.fromkeys(arrays, (100, 10)))
    report.raise_if_incomplete()
    assert all(np.array_equal(values[name], arrays[name]) for name in arrays)
    kept = tf.train.Checkpoint(a=tf.Variable(arrays["v1"]))
    with weights.open_weights(kept.write(str(tmp_path / "object"))) as file:
        chosen = weights.Selection(file)
        assert chosen.names == ["a"]
        assert np.array_equal(chosen.read("a"), arrays["v1"])


@pytest.mark.parametrize("net", ["resnet_v1_50", "mobilenet_v2"])
def test_tensorflow_reads_what_is_exported(tf, tmp_path, net):
    plan = plan_spec(net)
    ours = {name: draw(name, spec.shape) for name, spec in plan.variables.items()}
    weights.save(tmp_path / "ours.safetensors", ours)
    export_file(tmp_path / "ours.safetensors", net, tmp_path / "net.ckpt.index", "tf_slim")
    reader = tf.train.load_checkpoint(str(tmp_path / "net.ckpt"))
    assert reader.get_variable_to_shape_map() == {name: list(array.shape) for name, array in ours.items()}
    assert all(np.array_equal(reader.get_tensor(name), array) for name, array in ours.items())


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("net", ["resnet_v1_50", "inception_v1"])
def test_checkpoints_with_tf_slims_variables_give_its_outputs(tf, tmp_path, net, version):
    said = shared_facts(net)
    arrays = {name: draw(name, tuple(shape)) for name, shape in said["variables"].items()}
    arrays["global_step"] = np.array(5, "i8")
    arrays |= {f"{name}/Momentum": array for name, array in list(arrays.items())[:3]}
    path = saved(tf, tmp_path, version, arrays)
    plan = plan_spec(net, [] if net == "resnet_v1_50" else ["classes=1000"])
    values, report = weights.load_variables(path, plan)
    report.raise_if_incomplete()
    assert report.dropped["global_step"] == "a counter of steps"
    assert len(report.dropped) == 4
    x = np.random.default_rng(0).standard_normal(said["input_shape"], dtype=np.float32)
    (output,) = plan.graph.outputs.values()
    found = evaluate(plan, values, {plan.graph.inputs[0].name: x}, [output])[output]
    assert distance(found, said["output"]) <= 1e-5


@pytest.mark.parametrize("suffix", [".weights.h5", ".h5", ".keras"])
def test_files_of_keras(tf, tmp_path, suffix):
    keras = pytest.importorskip("keras")
    layers = keras.layers
    bare = layers.BatchNormalization(scale=False, name="bare")
    inner = keras.Sequential([layers.Input((8, 8, 4)), layers.Conv2D(5, 1, name="in"), bare])
    x = image = layers.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, padding="same", name="first")(x)
    x = layers.BatchNormalization(name="bn")(x)
    x = layers.DepthwiseConv2D(3, padding="same", name="dw")(x)
    x = inner(x)
    x = layers.SeparableConv2D(3, 3, name="sep")(x)
    x = layers.Dense(3, name="logits")(layers.Flatten()(x))
    model = keras.Model(image, x)
    path = tmp_path / f"w{suffix}"
    (model.save_weights if suffix == ".weights.h5" else model.save)(path)
    with weights.open_weights(path) as file:
        assert file.writer.startswith("Keras")
        names = {name.removeprefix(f"{inner.name}/"): name for name in weights.Selection(file).names}
        for layer in [*model.layers, *inner.layers]:
            for variable in layer.variables if layer is not inner else ():
                local = variable.name
                if f"{layer.name}/{local}" not in names:
                    local = "gamma_or_beta"
                assert np.array_equal(file.read(names.pop(f"{layer.name}/{local}")), np.asarray(variable.value))
        assert not names
