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


# what PyTorch reads as something else --------------------------------------------------------------------------------

SIX = np.arange(1, 7, dtype="f4")
ORDERED = b"ccollections\nOrderedDict\n"


def storage(key="0", count=6, kind="FloatStorage", view=b""):
    return (
        b"(" + text("storage") + f"ctorch\n{kind}\n".encode() + text(key) + text("cpu") + number(count) + view + b"tQ"
    )


def part(key, first, count):
    return b"(" + text(key) + number(first) + number(count) + b"t"


def made(place, count=6, version=2, more=b""):
    """A tensor of `count` numbers of a storage; `more`: arguments of later versions."""
    arguments = place + number(0) + numbers((count,)) + numbers((1,)) + b"\x89" + ORDERED + b")R" + more
    return f"ctorch._utils\n_rebuild_tensor_v{version}\n(".encode() + arguments + b"tR"


def parameter(state):
    return (
        b"ctorch._utils\n_rebuild_parameter_with_state\n(" + made(storage()) + b"\x89" + ORDERED + b")R" + state + b"tR"
    )


def subclass(state):
    arguments = b"(" + storage() + number(0) + numbers((6,)) + numbers((1,)) + b"\x89" + ORDERED + b")Rt"
    start = b"ctorch._tensor\n_rebuild_from_type_v2\n(ctorch._utils\n_rebuild_tensor_v2\nctorch\nTensor\n"
    return start + arguments + state + b"tR"


def a_zip(tmp_path, root, **extra):
    torch_zip(tmp_path / "w.pth", root, {"0": SIX.tobytes(), "1": (-SIX).tobytes()}, **extra)
    return opened(tmp_path / "w.pth")


def an_old(tmp_path, root):
    stored = [struct.pack("<q", 6) + SIX.tobytes()]
    (tmp_path / "w.pth").write_bytes(torch_old(root, ["0"], stored))
    return opened(tmp_path / "w.pth")


OTHER = made(storage("1"))
FLOAT = b"ctorch\nfloat32\n"
LIKE_ANOTHER = {
    "a state for a tensor": (made(storage()) + numbers((0,)) + b"b", "one that is given a state"),
    "data of a parameter": (parameter(dictionary({"data": OTHER})), "given other numbers"),
    "data in slots": (parameter(b"N" + dictionary({"data": OTHER}) + b"\x86"), "given other numbers"),
    "data of a class of its own": (subclass(dictionary({"data": OTHER})), "given other numbers"),
    "a dictionary of no pairs": (ORDERED + b"(](" + dictionary({"a": OTHER, "b": OTHER}) + b"etR", "are no pairs"),
    "a part of a storage": (made(storage(view=part("v", 3, 3)), 3), "expected whole storages, found a part"),
    "storages of two sizes": (
        b"(" + made(storage()) + made(storage(count=3), 3) + b"l",
        "storages of one count each, found one of two",
    ),
    "a key that is no plain text": (made(storage("\xe9")), "a storage without a size"),
}


@pytest.mark.parametrize("name", LIKE_ANOTHER)
def test_what_pytorch_reads_as_something_else_is_refused(tmp_path, name):
    root, words = LIKE_ANOTHER[name]
    with pytest.raises(WeightsError, match=words):
        a_zip(tmp_path, dictionary({"a": root}))


def test_other_states_of_tensors_change_nothing(tmp_path):
    tagged = dictionary({"tag": number(1)})
    values, _ = a_zip(tmp_path, dictionary({"a": parameter(tagged), "b": subclass(tagged), "c": subclass(b"N")}))
    assert all(np.array_equal(values[name], SIX) for name in "abc")


def test_signs_that_are_turned_in_the_third_version(tmp_path):
    turned = made(storage(), version=3, more=FLOAT + b"}" + text("neg") + b"\x88s")
    values, file = a_zip(tmp_path, dictionary({"a": turned, "b": made(storage(), version=3, more=FLOAT)}))
    assert values.keys() == {"b"}
    assert "a (a tensor whose signs are turned" in file.metadata["other values"]


@pytest.mark.parametrize("kind", ["UntypedStorage", "HalfStorage"])
def test_numbers_of_another_size_in_the_order_of_another_machine(tmp_path, kind):
    count = {"UntypedStorage": 24, "HalfStorage": 12}[kind]
    root = dictionary({"a": made(storage(count=count, kind=kind), version=3, more=FLOAT)})
    assert np.array_equal(a_zip(tmp_path, root)[0]["a"], SIX)
    with pytest.raises(WeightsError, match=r"expected a storage of float32, found a storage of numbers of \d byte"):
        a_zip(tmp_path, root, byteorder=b"big")


@pytest.mark.parametrize("items", ["dictionary", "tuple", "list"])
def test_a_dictionary_of_a_dictionary_or_of_pairs(tmp_path, items):
    pair = b"(" + text("w") + made(storage()) + b"t"
    given = {
        "dictionary": dictionary({"w": made(storage())}),
        "tuple": b"(" + pair + b"t",
        "list": b"](" + pair + b"e",
    }[items]
    values, _ = a_zip(tmp_path, dictionary({"a": OTHER, "b": ORDERED + b"(" + given + b"tR"}))
    assert values.keys() == {"a", "b/w"}


def test_the_byte_order_is_found_as_pytorch_finds_it(tmp_path):
    """Whatever the case of its name."""
    values, _ = a_zip(tmp_path, dictionary({"a": made(storage())}), BYTEORDER=b"big")
    assert np.array_equal(values["a"], SIX.view(">f4"))
    with pytest.raises(WeightsError, match="files of different names in it, found two"):
        a_zip(tmp_path, dictionary({"a": made(storage())}), BYTEORDER=b"big", byteorder=b"big")


@pytest.mark.parametrize("long", [False, True])
def test_texts_of_python_2_are_utf_8(tmp_path, long):
    name = "\xe9".encode()
    key = b"T" + struct.pack("<I", len(name)) + name if long else b"U" + bytes([len(name)]) + name
    assert list(a_zip(tmp_path, b"}" + key + made(storage()) + b"s")[0]) == ["\xe9"]


def test_tensors_under_other_keys_than_names_are_said_beside_the_others(tmp_path):
    keys = b"}G" + struct.pack(">d", 1.5) + made(storage()) + b"s" + b")" + dictionary({"w": made(storage())}) + b"s"
    values, file = a_zip(tmp_path, keys)
    assert values.keys() == {"1.5"}
    assert (
        file.metadata["other values"]
        == "a key that is no text/w (a tensor under a key that is neither text nor number)"
    )


def test_parts_of_storages_hold_for_every_version(tmp_path):
    views = {
        "a": made(storage(view=part("v", 2, 4)), 4),
        "b": made(storage(view=part("v", 2, 4)), 4, version=3, more=FLOAT),
        "c": made(storage(view=b"N")),
    }
    values, _ = an_old(tmp_path, dictionary(views))
    assert np.array_equal(values["a"], SIX[2:])
    assert np.array_equal(values["b"], SIX[2:])
    assert np.array_equal(values["c"], SIX)


@pytest.mark.parametrize(
    ("places", "words"),
    [
        ([part("v", 0, 3), part("v", 3, 3)], "one start each, found one of two"),
        ([part("0", 3, 3)], "one start each, found one of two"),
        ([part("v", 4, 3)], "expected a part of 6 numbers, found one up to the 7th"),
    ],
)
def test_parts_that_pytorch_takes_for_others(tmp_path, places, words):
    root = {str(number): made(storage(view=each), 3) for number, each in enumerate(places)}
    with pytest.raises(WeightsError, match=words):
        an_old(tmp_path, dictionary(root))


def test_old_storages_are_little_endian_and_as_many_as_said(tmp_path):
    root = dictionary({"a": made(storage(view=b"N"))})
    stored = [struct.pack("<q", 6) + SIX.tobytes()]
    big = torch_old(root, ["0"], stored).replace(text("little_endian") + b"\x88", text("little_endian") + b"\x89")
    (tmp_path / "w.pth").write_bytes(big)
    assert np.array_equal(opened(tmp_path / "w.pth")[0]["a"], SIX)
    with pytest.raises(WeightsError, match="the storage 0 is not as expected"):
        an_old(tmp_path, dictionary({"a": made(storage(count=3, view=b"N"), 3)}))
