"""Files of torch.save: views, what training scripts put beside a network, and what would run code."""

from __future__ import annotations

import struct
import zipfile

import numpy as np
import pytest

from graphc import weights
from graphc.errors import WeightsError
from graphc.weights.torch_pickle import MAX_OPERATIONS
from tests.weights.files import dictionary, number, numbers, pickle, tensor, text, torch_old, torch_zip

X = np.random.default_rng(0).standard_normal((6, 8, 10)).astype("f4")


def opened(path):
    with weights.open_weights(path) as file:
        return {name: file.read(name) for name in file.names}, file


def test_views_of_one_storage(tmp_path):
    views = {"turned": X.transpose(2, 0, 1), "part": X[1::2, 2:, 3:7], "one": X[2, 3, 4:5], "none": X[2:2]}
    root = {
        name: tensor(view, "0", offset=(view.ctypes.data - X.ctypes.data) // 4, count=X.size)
        for name, view in views.items()
    }
    torch_zip(tmp_path / "w.pth", dictionary(root), {"0": X.tobytes()})
    (tmp_path / "old.pth").write_bytes(torch_old(dictionary(root), ["0"], [struct.pack("<q", X.size) + X.tobytes()]))
    for name in ("w.pth", "old.pth"):
        values, _ = opened(tmp_path / name)
        assert values.keys() == views.keys()
        assert all(np.array_equal(values[each], views[each]) for each in views)


def test_parts_of_storages_as_they_were_before_pytorch_0_4(tmp_path):
    flat = X.reshape(-1)
    view = b"(" + text("94_1") + number(100) + number(20) + b"t"
    root = dictionary({"a": tensor(flat[100:120], "7", view=view, count=flat.size)})
    path = tmp_path / "w.pt"
    path.write_bytes(torch_old(root, ["7"], [struct.pack("<q", flat.size) + flat.tobytes()]))
    assert np.array_equal(opened(path)[0]["a"], flat[100:120])


def test_big_endian_storages(tmp_path):
    torch_zip(tmp_path / "w.pt", dictionary({"a": tensor(X, "0")}), {"0": X.astype(">f4").tobytes()}, byteorder=b"big")
    assert np.array_equal(opened(tmp_path / "w.pt")[0]["a"], X)


def test_what_training_wrote_beside_a_network_is_left_out(tmp_path):
    part = X[0, 0]
    state = dictionary({"module.conv.weight": tensor(part, "0"), "module.conv.bias": tensor(part, "0")})
    average = dictionary({"module.conv.weight": tensor(part, "1")})
    namespace = b"cargparse\nNamespace\n)R"
    root = {
        "epoch": number(3),
        "args": namespace,
        "state_dict": state,
        "optimizer": dictionary({"state": dictionary({"exp": tensor(part, "0")})}),
        "model_ema": average,
    }
    torch_zip(tmp_path / "w.pth", dictionary(root), {"0": part.tobytes(), "1": (part + 1).tobytes()})
    with weights.open_weights(tmp_path / "w.pth") as file:
        assert file.names[0] == "state_dict/module.conv.weight"
        assert file.metadata == {"other values": "epoch, args (argparse.Namespace)"}
        chosen = weights.Selection(file)
        assert chosen.names == ["conv.weight", "conv.bias"]
        assert chosen.dropped == {
            "optimizer/state/exp": "beside state_dict",
            "model_ema/module.conv.weight": "moving averages, which --ema takes",
        }
        average = weights.Selection(file, ema=True)
        assert average.names == ["conv.weight"]
        assert np.array_equal(average.read("conv.weight"), part + 1)


EVIL = b"cos\nsystem\n(" + text("touch marker") + b"tR"


@pytest.mark.parametrize(
    ("root", "message"),
    [
        (
            b"ctorchvision.models.resnet\nResNet\n)\x81}b",
            "object of torchvision.models.resnet.ResNet: save model.state_di",
        ),
        (b"(" + text("module") + b"cnet\nNet\n" + text("") + text("") + text("") + b"tQ", "an object of net.Net: save"),
        (EVIL, "an object of os.system: save"),
        (dictionary({"model": EVIL}), "expected a dictionary of tensors, found none: save"),
        (dictionary({"a": number(1)}), "expected a dictionary of tensors, found none"),
        (dictionary({"a": b"\x82\x01"}), "found the operation EXT1"),
        (b"(" + b"0" * 3 + b"}", "expected a pickle as PyTorch writes it, found"),
        (b"]" * 40 + b"a" * 39, "at most 32 dictionaries within each other"),
        (b"K\x01" * (MAX_OPERATIONS + 1), "at most 2,000,000 operations"),
        (b"]q\x00" + b"(" + b"h\x00" * 9 + b"e", "dictionaries within each other"),
        (b"]\x94(K\x01e", "expected a dictionary of tensors"),
    ],
)
def test_what_is_no_dictionary_of_tensors_is_refused_and_nothing_is_run(tmp_path, monkeypatch, root, message):
    monkeypatch.chdir(tmp_path)
    torch_zip(tmp_path / "w.pth", root, {})
    with pytest.raises(WeightsError, match="G315") as error:
        opened(tmp_path / "w.pth")
    assert message in str(error.value)
    assert not (tmp_path / "marker").exists()


def test_code_beside_tensors_does_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch_zip(tmp_path / "w.pth", dictionary({"a": tensor(X, "0"), "x": EVIL}), {"0": X.tobytes()})
    values, file = opened(tmp_path / "w.pth")
    assert list(values) == ["a"]
    assert file.metadata == {"other values": "x (os.system)"}
    assert not (tmp_path / "marker").exists()


def test_keys_that_would_take_forever_to_hash_are_not_hashed(tmp_path):
    deep = b")" + b"2\x86" * 60  # a pair of a pair of …, 2**60 in all
    torch_zip(
        tmp_path / "w.pth", b"}" + deep + number(1) + b"s" + text("a") + tensor(X, "0") + b"s", {"0": X.tobytes()}
    )
    assert list(opened(tmp_path / "w.pth")[0]) == ["a"]


def test_lists_of_lists_of_lists_are_bounded(tmp_path):
    """Each of the same thousand: a billion in all."""
    root = b"](" + b"K\x01" * 1000 + b"eq\x00"
    for level in (1, 2):
        root += b"](" + b"h" + bytes([level - 1]) + b"h" * 0
        root += (b"h" + bytes([level - 1])) * 999 + b"eq" + bytes([level])
    torch_zip(tmp_path / "w.pth", root, {})
    with pytest.raises(WeightsError, match="at most 3,013 values"):
        opened(tmp_path / "w.pth")


@pytest.mark.parametrize(
    ("made", "storage", "message"),
    [
        (tensor(X, "0", offset=1, count=X.size), X.tobytes(), "expected numbers up to the 481th, found 480"),
        (tensor(np.broadcast_to(X[0, 0, 0], (9, 9)), "0", count=4), X.tobytes()[:16], "at most 4 numbers, found 81"),
        (tensor(X, "0"), X.tobytes()[:-4], "expected 1,920 bytes, found 1,916"),
        (tensor(X, "1"), X.tobytes(), "expected the file net/data/1 in it, found none"),
    ],
)
def test_tensors_that_are_not_all_there(tmp_path, made, storage, message):
    torch_zip(tmp_path / "w.pth", dictionary({"a": made}), {"0": storage})
    with pytest.raises(WeightsError, match=r"w\.pth: a: ") as error:
        opened(tmp_path / "w.pth")
    assert message in str(error.value)


def test_a_view_whose_signs_are_turned_is_none_of_plain_numbers(tmp_path):
    """What `torch._neg_view` gives: the storage holds the numbers with the other sign."""
    plain = tensor(X, "0")
    turned = plain.removesuffix(b"tR") + b"}" + text("neg") + b"\x88stR"
    torch_zip(tmp_path / "w.pth", dictionary({"a": plain, "b": turned}), {"0": X.tobytes()})
    values, file = opened(tmp_path / "w.pth")
    assert values.keys() == {"a"}
    assert "b (a tensor whose signs are turned" in file.metadata["other values"]


def test_a_checkpoint_of_a_long_name_is_known_by_its_first_member(tmp_path):
    """Its archive's members begin with the name; .ckpt is TensorFlow's too."""
    path = tmp_path / "epoch=12-step=123456-val_loss=0.123456789-val_acc=0.987654321.ckpt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{path.stem}/data.pkl", pickle(dictionary({"a": tensor(X, "0")})))
        archive.writestr(f"{path.stem}/data/0", X.tobytes())
    assert list(opened(path)[0]) == ["a"]


def test_other_archives_and_pickles(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("net/data.pkl", pickle(dictionary({})))
    (tmp_path / "b.pth").write_bytes(pickle(dictionary({"a": number(1)})))
    torch_zip(tmp_path / "c.pth", dictionary({"a": tensor(X, "0")}), {"0": X.tobytes()}, **{"constants.pkl": b""})
    torch_zip(tmp_path / "d.pth", dictionary({"a": tensor(X, "0")}), {"0": X.tobytes()}, byteorder=b"middle")
    for name, message in (
        ("a", "net/data.pkl compressed or encrypted"),
        ("b", "expected a file of torch.save, found another pickle"),
        ("c", "found a TorchScript program: save model.state_dict"),
        ("d", "expected the byte order little or big"),
    ):
        with pytest.raises(WeightsError, match=message):
            opened(tmp_path / f"{name}.pth")


def test_numbers_shown_by_the_helper_are_as_pickled():
    """The writer of these tests is right: the standard library reads what it writes."""
    import pickle as standard

    assert standard.loads(pickle(dictionary({"a": numbers((1, -2, 70_000))}))) == {"a": (1, -2, 70_000)}


def test_tensors_without_plain_numbers_are_said_beside_the_others(tmp_path):
    """Complex numbers, and a sparse weight: the rest of the file is read."""
    part = X[0, 0]
    strange = tensor(part, "1").replace(b"ctorch\nFloatStorage\n", b"ctorch\nComplexFloatStorage\n")
    sparse = b"ctorch._utils\n_rebuild_sparse_tensor\n(tR"
    root = {"a": tensor(part, "0"), "phase": strange, "mask": sparse}
    torch_zip(tmp_path / "w.pth", dictionary(root), {"0": part.tobytes(), "1": part.tobytes()})
    values, file = opened(tmp_path / "w.pth")
    assert np.array_equal(values["a"], part)
    assert values.keys() == {"a"}
    said = "phase (torch.ComplexFloatStorage), mask (torch._utils._rebuild_sparse_tensor)"
    assert file.metadata["other values"] == said
