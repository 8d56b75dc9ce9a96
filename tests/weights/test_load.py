"""Weights in and out, and files that mean harm."""

from __future__ import annotations

import io
import json
import struct
import zipfile

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy

from graphc import weights
from graphc.compiler import compile_spec
from graphc.errors import WeightsError

ARRAYS = {
    "net/conv/weights": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
    "net/conv/biases": np.array([1.5, -2.0], np.float32),
    "net/scale": np.array(3.0, np.float32),
}
SHAPES = {name: array.shape for name, array in ARRAYS.items()}
FORMATS = [".npz", ".safetensors"]


def npz(path, members, compression=zipfile.ZIP_STORED):
    """An archive of raw members."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return path


def npy(array):
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def header(text):
    """A .npy header with this text."""
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()


def safetensors_file(path, entries, data=b""):
    text = json.dumps(entries).encode() if not isinstance(entries, bytes) else entries
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


@pytest.mark.parametrize("suffix", FORMATS)
def test_what_is_saved_is_loaded(tmp_path, suffix):
    path = tmp_path / f"w{suffix}"
    weights.save(path, ARRAYS)
    values, report = weights.load(path, SHAPES)
    assert {name: value.tolist() for name, value in values.items()} == {n: a.tolist() for n, a in ARRAYS.items()}
    assert all(value.dtype == np.float32 for value in values.values())
    assert (report.missing, report.unused, dict(report.mis_shaped)) == ((), (), {})
    report.raise_if_incomplete()


@pytest.mark.parametrize("suffix", FORMATS)
def test_the_same_variables_give_the_same_bytes(tmp_path, suffix, monkeypatch):
    weights.save(tmp_path / f"a{suffix}", ARRAYS)
    monkeypatch.setattr("time.time", lambda: 2e9)
    weights.save(tmp_path / f"b{suffix}", ARRAYS)
    assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


def test_numpy_and_safetensors_read_what_is_saved_and_the_reverse(tmp_path):
    weights.save(tmp_path / "a.npz", ARRAYS)
    weights.save(tmp_path / "a.safetensors", ARRAYS)
    with np.load(tmp_path / "a.npz") as theirs:
        assert sorted(theirs) == sorted(ARRAYS)
        assert np.array_equal(theirs["net/conv/weights"], ARRAYS["net/conv/weights"])
    assert np.array_equal(
        safetensors.numpy.load_file(tmp_path / "a.safetensors")["net/conv/weights"], ARRAYS["net/conv/weights"]
    )
    np.savez_compressed(tmp_path / "b.npz", **ARRAYS)
    safetensors.numpy.save_file(ARRAYS, tmp_path / "b.safetensors", metadata={"format": "np"})
    for suffix in FORMATS:
        values, _ = weights.load(tmp_path / f"b{suffix}", SHAPES)
        assert np.array_equal(values["net/conv/weights"], ARRAYS["net/conv/weights"])


@pytest.mark.parametrize("suffix", FORMATS)
def test_the_report_names_what_is_missing_unused_and_mis_shaped(tmp_path, suffix):
    path = tmp_path / f"w{suffix}"
    weights.save(path, ARRAYS)
    wanted = {"net/conv/weights": (2, 3, 5), "net/other": (1,), "net/scale": ()}
    values, report = weights.load(path, wanted)
    assert list(values) == ["net/scale"]
    assert report.missing == ("net/other",)
    assert report.unused == ("net/conv/biases",)
    assert dict(report.mis_shaped) == {"net/conv/weights": ((2, 3, 5), (2, 3, 4))}
    with pytest.raises(WeightsError, match=r"expected 3 variables, found 1") as error:
        report.raise_if_incomplete()
    assert "net/conv/weights: expected 2×3×5, found 2×3×4" in str(error.value)
    assert "missing: net/other" in str(error.value)


def test_fortran_order_and_big_endian_give_the_right_values(tmp_path):
    array = ARRAYS["net/conv/weights"]
    path = npz(tmp_path / "w.npz", [("f.npy", npy(np.asfortranarray(array))), ("b.npy", npy(array.astype(">f4")))])
    values, _ = weights.load(path, {"f": array.shape, "b": array.shape})
    assert np.array_equal(values["f"], array)
    assert np.array_equal(values["b"], array)
    assert values["b"].dtype == np.float32


EXACT = np.array([[1.5, -2.25, 0.0078125], [0.0, 3.0, -65280.0]])
"""Numbers that float16 and bfloat16 hold as they are."""


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float32, np.float64])
@pytest.mark.parametrize("suffix", FORMATS)
def test_every_type_of_floating_point_number_loads(tmp_path, suffix, dtype):
    array = EXACT.astype(dtype)
    path = tmp_path / f"w{suffix}"
    np.savez(path, a=array) if suffix == ".npz" else safetensors.numpy.save_file({"a": array}, path)
    values, _ = weights.load(path, {"a": (2, 3)})
    assert values["a"].dtype == np.float32
    assert values["a"].tolist() == EXACT.tolist()


@pytest.mark.parametrize("dtype", [">f2", ">f8"])
def test_other_byte_orders_and_types_together(tmp_path, dtype):
    array = np.asfortranarray(EXACT.astype(dtype))
    values, _ = weights.load(npz(tmp_path / "w.npz", [("a.npy", npy(array))]), {"a": (2, 3)})
    assert values["a"].tolist() == EXACT.tolist()


def test_bfloat16_to_the_bit(tmp_path):
    every = np.arange(2**16, dtype=np.uint16).view(ml_dtypes.bfloat16)
    np.savez(tmp_path / "w.npz", a=every)
    values, _ = weights.load(tmp_path / "w.npz", {"a": every.shape})
    assert np.array_equal(values["a"], every.astype(np.float32), equal_nan=True)


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("moving_variance", [1, -1e-6, 4], "moving_variance: 1 number of 3 below 0; the smallest is -1e-06"),
        ("moving_variance", [1, np.nan, -4], "moving_variance: 1 number of 3 NaN, infinite or too large for float32"),
        ("moving_mean", [1, np.inf, np.nan], "moving_mean: 2 numbers of 3 NaN, infinite or too large"),
        ("beta", [-np.inf, 0, 0], "beta: 1 number of 3 NaN, infinite"),
        ("beta", [1e39, 0, 0], "beta: 1 number of 3 NaN, infinite or too large for float32"),
    ],
)
def test_weights_that_no_layer_can_use_are_an_error(tmp_path, suffix, name, value, message):
    (tmp_path / "net.yaml").write_text("graphc: 1\ninputs: {x: [N, 3]}\nlayers: [batch_norm: {name: bn}]\n")
    good = {name: np.full(3, -1.0) for name in ("moving_mean", "beta")} | {"moving_variance": np.zeros(3)}
    arrays = {f"net/bn/{each}": array for each, array in {**good, name: np.array(value, np.float64)}.items()}
    path, target = tmp_path / f"w{suffix}", tmp_path / "net.onnx"
    save = {".npz": lambda: np.savez(path, **arrays), ".safetensors": lambda: safetensors.numpy.save_file(arrays, path)}
    save[suffix]()
    for partial in (False, True):
        with pytest.raises(WeightsError, match="G307") as error:
            compile_spec(
                tmp_path / "net.yaml", target, weights_from=path, partial=partial, weights_to=tmp_path / "o.npz"
            )
        assert f"net/bn/{message}" in str(error.value)
    assert not target.exists()
    assert not (tmp_path / "o.npz").exists()
    arrays[f"net/bn/{name}"] = good[name]
    save[suffix]()
    compile_spec(tmp_path / "net.yaml", target, weights_from=path)
    assert target.exists()


class Planted:
    """Unpickling this would write a file."""

    def __reduce__(self):
        return open, ("marker", "w")


@pytest.mark.parametrize(
    ("member", "shape", "message"),
    [
        (npy(np.array([Planted()], object)), (1,), "object array refused"),
        (npy(np.zeros(3, np.int64)), (3,), "expected float16, bfloat16, float32 or float64, found int64"),
        (npy(np.zeros(3, np.complex64)), (3,), "found complex64"),
        (npy(np.zeros(3, "V4")), (3,), "found |V4"),
        (header("{'descr': ',', 'fortran_order': False, 'shape': (1,), }"), (1,), "header cannot be read"),
        (header("{'descr': '', 'fortran_order': False, 'shape': (1,), }"), (1,), "descr is not a valid dtype"),
        (npy(np.zeros(2)) + b"more", (2,), "expected 144 bytes for its shape, found 148"),
        (
            header("{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000,), }"),
            (1000000000,),
            "expected 4,000,0",
        ),
        (header("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }"), (1,), "found void32"),
        (
            header("{'descr': '<f4', 'fortran_order': False, 'shape': (" + "9" * 5000 + ",), }"),
            (1,),
            "header cannot be read",
        ),
        (b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**30), (1,), "at most 10,000 bytes, found 1,073,741,824"),
        (b"GIF89a", (1,), "expected a NumPy array"),
        (npy(np.zeros(2, np.float32)) + b"more", (2,), "expected 136 bytes for its shape, found 140"),
        (npy(np.zeros(2, np.float32))[:-1], (2,), "expected 136 bytes for its shape, found 135"),
    ],
)
def test_bad_members_are_refused_by_name(tmp_path, monkeypatch, member, shape, message):
    monkeypatch.chdir(tmp_path)
    path = npz(tmp_path / "w.npz", [("net/a.npy", member)])
    with pytest.raises(WeightsError, match="net/a") as error:
        weights.load(path, {"net/a": shape})
    assert message in str(error.value)
    assert not (tmp_path / "marker").exists()


def test_bombs_are_refused_before_they_are_unpacked(tmp_path):
    zeros = header("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }") + bytes(64 * 2**20)
    path = npz(tmp_path / "w.npz", [("a.npy", zeros)], zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 100_000
    with pytest.raises(WeightsError, match=r"a: expected 7\d bytes for its shape, found 67,108"):
        weights.load(path, {"a": (2,)})
    values, report = weights.load(path, {"a": (3,)})  # another shape: not even looked at
    assert (values, report.mis_shaped["a"]) == ({}, ((3,), (2,)))


def test_names_that_are_paths_or_twice_there_are_refused(tmp_path):
    good = npy(np.zeros(1, np.float32))
    with pytest.raises(WeightsError, match=r"'\.\./a' is named like a path outside"):
        weights.load(npz(tmp_path / "a.npz", [("../a.npy", good)]), {})
    with pytest.warns(UserWarning, match="Duplicate name"):
        path = npz(tmp_path / "b.npz", [("a.npy", good), ("a.npy", good)])
    with pytest.raises(WeightsError, match="'a' is there twice"):
        weights.load(path, {})


ENTRY = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


@pytest.mark.parametrize(
    ("entries", "data", "message"),
    [
        ({"a": ENTRY}, bytes(7), "expected 8 bytes of data, found 7"),
        ({"a": ENTRY}, bytes(9), "expected 8 bytes of data, found 9"),
        ({"a": ENTRY, "b": {**ENTRY, "data_offsets": [4, 12]}}, bytes(12), "b: expected its bytes to start at 8"),
        ({"a": ENTRY, "b": {**ENTRY, "data_offsets": [12, 20]}}, bytes(20), "b: expected its bytes to start at 8"),
        ({"a": {**ENTRY, "shape": [2**40, 2**40]}}, bytes(8), "a: expected an array's shape, found 1099511627776×"),
        ({"a": {**ENTRY, "shape": [-2]}}, bytes(8), "a: its entry"),
        ({"a": {**ENTRY, "data_offsets": [8, 0]}}, bytes(8), "a: expected its bytes to start at 0"),
        (
            {"a": {**ENTRY, "dtype": "I64", "shape": [1]}},
            bytes(8),
            "expected float16, bfloat16, float32 or float64, found int64",
        ),
        ({"a": {**ENTRY, "dtype": "BF16"}}, bytes(8), "a: expected 4 bytes for its shape, found 8"),
        ({"a": [1]}, bytes(8), "a: its entry"),
        (b'{"a": 1, "a": 2}', b"", "a key is there twice"),
        (b"\xff\xfe", b"", "cannot be read"),
        (b"[" * 100_000, b"", "cannot be read"),
        (b"[]", b"", "it is no mapping"),
    ],
)
def test_bad_safetensors_are_refused(tmp_path, entries, data, message):
    path = safetensors_file(tmp_path / "w.safetensors", entries, data)
    shape = tuple(entries["a"]["shape"]) if isinstance(entries, dict) and isinstance(entries["a"], dict) else (2,)
    with pytest.raises(WeightsError) as error:
        weights.load(path, {"a": shape})
    assert message in str(error.value)


@pytest.mark.parametrize("data", [b"", b"1234567", (2**64 - 1).to_bytes(8, "little"), (2**30).to_bytes(8, "little")])
def test_safetensors_without_a_header_are_refused(tmp_path, data):
    path = tmp_path / "w.safetensors"
    path.write_bytes(data)
    with pytest.raises(WeightsError, match="found no header"):
        weights.load(path, {})


@pytest.mark.parametrize("suffix", FORMATS)
def test_every_truncation_is_an_error_and_no_traceback(tmp_path, suffix):
    whole, cut = tmp_path / f"whole{suffix}", tmp_path / f"cut{suffix}"
    weights.save(whole, ARRAYS)
    data = whole.read_bytes()
    for length in range(len(data)):
        cut.write_bytes(data[:length])
        with pytest.raises(WeightsError):
            weights.load(cut, SHAPES)[1].raise_if_incomplete()


@pytest.mark.parametrize("suffix", FORMATS)
def test_damaged_bytes_are_an_error_or_values_of_the_right_shape(tmp_path, suffix):
    path = tmp_path / f"w{suffix}"
    weights.save(path, ARRAYS)
    data = path.read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(2000):
        damaged = bytearray(data)
        for position in rng.integers(len(data), size=rng.integers(1, 4)):
            damaged[position] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            values, _ = weights.load(path, SHAPES)
        except WeightsError:
            continue
        assert all(value.shape == SHAPES[name] for name, value in values.items())


def test_files_that_are_none(tmp_path):
    (tmp_path / "w.doc").write_bytes(b"weights")
    with pytest.raises(WeightsError, match=r"expected a file of weights ending in \.safetensors.*, got .*w\.doc"):
        weights.load(tmp_path / "w.doc", {})
    with pytest.raises(WeightsError, match=r"ending in \.npz or \.safetensors, got .*w\.h5"):
        weights.save(tmp_path / "w.h5", {})
    with pytest.raises(WeightsError, match="there is no file"):
        weights.load(tmp_path / "none.npz", {})
    (tmp_path / "folder.npz").mkdir()
    with pytest.raises(WeightsError, match="expected a file"):
        weights.load(tmp_path / "folder.npz", {})


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_file_of_another_name_is_known_by_its_bytes(tmp_path, suffix):
    weights.save(tmp_path / f"w{suffix}", ARRAYS)
    (tmp_path / f"w{suffix}").rename(tmp_path / "w.model")
    values, _ = weights.load(tmp_path / "w.model", SHAPES)
    assert values.keys() == ARRAYS.keys()


def test_an_empty_array_has_axes_that_numpy_can_hold(tmp_path):
    entry = {"dtype": "F32", "shape": [0, 2**62], "data_offsets": [0, 0]}
    path = safetensors_file(tmp_path / "w.safetensors", {"a": entry})
    with pytest.raises(WeightsError, match="a: expected an array's shape, found 0×4611686018427387904"):
        weights.load(path, {"a": (0, 2**62)})
